* A guest without an operating system, for System/370 in BC mode. It reads, updates and format-writes tracks of
* count-key-data disks and blocks of fixed-block disks in random order, one channel program at a time, and stops with
* a disabled wait as soon as anything is not as it must be. model.rs computes what it must have written.
*
* It lies below address 4096, so that register 0 is base enough. Its parameters begin at X'200'; the operator may read
* and alter them. A restart begins or goes on.
*
* Whatever is random comes from one generator, in this order: disk, kind, then for a track: track, style, and what the
* kind draws. Contents depend on seed, operation, disk, track and record alone (see FILL).
*
R0       EQU   0                   random numbers, work
R1       EQU   1                   work, results
R2       EQU   2                   bounds, work
R3       EQU   3                   entry of the track in its table
R4       EQU   4                   where the next byte goes
R5       EQU   5                   length
R6       EQU   6                   operation
R7       EQU   7                   identity
R8       EQU   8                   work
R9       EQU   9                   work
R10      EQU   10                  work
R11      EQU   11                  work
R12      EQU   12                  channel command word that is being made
R13      EQU   13                  disk
R14      EQU   14                  return
R15      EQU   15                  return of what calls others
*
EXPECT   EQU   X'10000'            what a track or blocks must hold; what is written
SECOND   EQU   X'20000'            data of the second record of a pair
FOUND    EQU   X'30000'            what was read
*
*        Disks: device number (2), 0 CKD or 1 fixed-block (2), first track or block (4), how many (4),
*        address of the table (4), kinds of operation (16).
FIRST    EQU   4
COUNT    EQU   8
TABLE    EQU   12
KINDS    EQU   16
*
*        Tracks: layout (1), records (1), 1 with an end-of-file record behind (1), then from offset 8 on for each
*        record the operations that wrote its key (4) and its data (4). No records: never formatted, or cut to none.
*        Blocks: the operation that wrote it (4); 0 none.
LAYOUT   EQU   0
RECORDS  EQU   1
ENDFILE  EQU   2
*
*        Low storage
*
         ORG   X'0'
         DC    X'00000000',A(RESTART)      restart
         ORG   X'38'
IOOLD    DS    D
CSW      DS    D
CAW      DS    F
         ORG   X'58'
         DC    X'00000000',A(WAITED)       external: the clock comparator
         DC    X'00020000000BAD05'         supervisor call: there is none
         DC    X'00020000000BAD04'         program
         DC    X'00020000000BAD06'         machine check
         DC    X'00000000',A(IOINT)        input and output
*
*        Parameters
*
         ORG   X'200'
EYE      DC    C'TGGUEST1'
DONE     DC    F'0'                operations completed
LIMIT    DC    F'0'                operations after which to stop
PAUSE    DC    X'00000000'         not 0 in the first byte: stop before the next operation
DELAY    DC    F'0'                microseconds before each operation, less than a second
SEED     DC    F'0'                goes into all contents
STATE    DC    F'1'                of the generator of random numbers; never 0
DISKS    DC    H'0',H'0'           how many
         DS    F
*        What went wrong: channel status word, sense, operation, kind, address in the channel program
BADCSW   DS    D
SENSE    DC    32X'00'
OP       DC    F'0'                operation under way, from 1
KIND     DC    F'0'                in the first byte
CCHH     DC    F'0'                track of the operation
SAVED    DC    16F'0'
         ORG   X'300'
DISK     DC    256X'00'            eight of 32 bytes
*
*        Layouts of a track: records, key length, data length. All fit a 3390 track, and Hercules' slot of one.
LAYOUTS  DC    X'0C',X'00',H'4096',F'0'
         DC    X'08',X'08',H'800',F'0'
         DC    X'01',X'00',X'DD58',F'0'    56,664: the largest record
         DC    X'14',X'00',H'80',F'0'
         DC    X'10',X'2C',H'96',F'0'      keys and data as in a VTOC
         DC    X'03',X'10',H'13000',F'0'
         DC    X'02',X'00',H'27998',F'0'
         DC    X'05',X'01',H'33',F'0'
*
*        Status words. Enabled for channels 0 to 5 and waiting; enabled for the clock and waiting; the ends.
IOWAIT   DC    X'FC02000000000000'
IDLE     DC    X'0102000000000000'
FINISHED DC    X'0002000000D00E00'
PAUSED   DC    X'0002000000AB5E00'
BADPSW   DC    X'00020000000BAD00'
CONTROL0 DC    X'00000800'         subclass mask of the clock comparator
*
CLOCK    DS    D
GOLDEN   DC    X'9E3779B9'         2**32 / golden ratio: steps of a Weyl sequence
HASH1    DC    X'9E3779B1'         odd numbers that spread bits
HASH2    DC    X'85EBCA6B'
ONE      DC    F'1'
HEADS    DC    F'15'
EOFSIZE  DC    F'8'
DISKNO   DC    F'0'
IDENT    DC    F'0'                disk (1), track (2), record or 0 (1); of blocks: disk (1), block (3)
STYLE    DC    F'0'                0: seek and search; 1: define extent and locate record
RECNO    DC    F'0'                record
RECADR   DC    A(0)                its operations in the table
KEYLEN   DC    H'0'
DATALEN  DC    H'0'
LENGTH   DC    F'0'                of a track's records
FIRSTBLK DC    F'0'
NBLOCKS  DC    F'0'
RETURN1  DC    A(0)
RETURN2  DC    A(0)
SENSING  DC    X'00'
*
*        Channel programs. A head leads to a record, and goes on in BODY.
*
CC       EQU   X'40'               chain commands
SLI      EQU   X'20'               suppress incorrect length
SEARCHES CCW   X'07',SEEK,CC,6
         CCW   X'1F',MASK,CC,1
SEARCH   CCW   X'31',SEEK+2,CC,5
         CCW   X'08',SEARCH,0,1
         CCW   X'08',BODY,0,1
LOCATES  CCW   X'63',EXTENT,CC,16
         CCW   X'47',LOCATE,CC,16
         CCW   X'08',BODY,0,1
SEARCH2  CCW   X'07',SEEK2,CC,6
         CCW   X'31',SEEK2+2,CC,5
         CCW   X'08',0,0,1         leads back to the search: PAIR fills it in
GETSENSE CCW   X'04',SENSE,SLI,32
BLKHEAD  CCW   X'63',BLKEXT,CC,16
         CCW   X'43',BLKLOC,CC,8
BLKBODY  CCW   X'41',EXPECT,0,0
BODY     DS    32D
SEEK     DC    X'0000',X'00000000',X'00'   zeros, CCHH, record
         DC    X'00'
SEEK2    DC    X'0000',X'00000000',X'00'
MASK     DC    X'00'
EXTENT   DC    X'00C0000000000000',A(0),A(0)
LOCATE   DC    X'00000001',A(0),A(0),X'00FF0000'   operation, TLF valid, 0, count; seek; search; sector, TLF
BLKEXT   DC    X'C0000000',F'0',F'0',F'0'  first block, its number in the extent, the last one's
BLKLOC   DC    X'0100',H'0',F'0'           operation, 0, count, block in the extent
*
*        The loop
*
RESTART  LCTL  R0,R0,CONTROL0
NEXT     CLI   PAUSE,0
         BNE   STOP
         L     R1,DONE
         CL    R1,LIMIT
         BNL   FINISH
         AL    R1,ONE
         ST    R1,OP
         BAL   R15,IDLING
         LH    R2,DISKS
         BAL   R14,BELOW
         ST    R1,DISKNO
         SLL   R1,5
         LA    R13,DISK(R1)
         BAL   R14,RANDOM
         SRL   R1,28
         IC    R1,KINDS(R1,R13)
         STC   R1,KIND
         CLI   3(R13),1
         BE    BLOCKS
         BAL   R15,PICK
         ST    R1,CCHH
         ST    R1,SEEK+2
         ST    R1,EXTENT+8
         ST    R1,EXTENT+12
         ST    R1,LOCATE+4
         ST    R1,LOCATE+8
         MVI   LOCATE+1,0
         MVI   LOCATE+3,1
         XC    LOCATE+14(2),LOCATE+14
         BAL   R14,RANDOM
         SRL   R1,31
         ST    R1,STYLE
*        A track without records is formatted, whatever the kind.
         CLI   RECORDS(R3),0
         BE    FORMAT
         CLI   KIND,0
         BE    READTRK
         CLI   KIND,1
         BE    READREC
         CLI   KIND,2
         BE    UPDATE
         CLI   KIND,3
         BE    UPDATEK
         CLI   KIND,4
         BE    PAIR
         CLI   KIND,5
         BE    FORMAT
         CLI   KIND,6
         BE    CUT
         B     RUN
SUCCESS  MVC   DONE(4),OP
         B     NEXT
FINISH   LPSW  FINISHED
STOP     LPSW  PAUSED
*
*        Kind 0: the whole track, compared with what it must hold.
*
READTRK  BAL   R15,BUILD
         MVI   MASK,X'40'
         L     R1,LENGTH
         LA    R8,X'5E'            read multiple count, key and data
         L     R2,STYLE
         LTR   R2,R2
         BZ    READTRK1
         LA    R1,24(,R1)          R0 before and the end mark behind
         LA    R8,X'DE'            read track
READTRK1 L     R9,AFOUND
         SR    R2,R2
         LA    R12,BODY
         BAL   R14,COMMAND
         MVI   LOCATE,X'4C'        from the home address on
         SR    R1,R1
         BAL   R15,RUNCKD
         L     R4,AEXPECT
         LH    R5,BODY+6
         N     R5,HALF
         L     R2,STYLE
         LTR   R2,R2
         BNZ   COMPARE
         LA    R4,16(,R4)
         B     COMPARE
*
*        Kind 1: the data of a record.
*
READREC  BAL   R15,RECORD
         L     R4,AEXPECT
         BAL   R15,DATA
         MVI   MASK,X'40'
         MVI   LOCATE,X'06'
         LA    R8,X'06'
         L     R9,AFOUND
         LH    R1,DATALEN
         N     R1,HALF
         SR    R2,R2
         LA    R12,BODY
         BAL   R14,COMMAND
         L     R1,RECNO
         BAL   R15,RUNCKD
         L     R4,AEXPECT
         LH    R5,DATALEN
         N     R5,HALF
COMPARE  L     R6,AFOUND
         LR    R7,R5
         CLCL  R4,R6
         BE    SUCCESS
         LA    R1,3
         B     FAIL
*
*        Kinds 2 and 3: the data of a record, or its key and data.
*
UPDATE   BAL   R15,RECORD
         L     R1,RECADR
         MVC   4(4,R1),OP
         L     R4,AEXPECT
         LA    R8,X'05'
         B     UPDATE1
UPDATEK  BAL   R15,RECORD
         L     R1,RECADR
         MVC   0(4,R1),OP
         MVC   4(4,R1),OP
         L     R4,AEXPECT
         BAL   R15,KEY
         LA    R8,X'0D'
UPDATE1  ST    R8,CODE
         BAL   R15,DATA
         S     R4,AEXPECT
         LR    R1,R4               bytes
         STH   R1,LOCATE+14
         MVI   LOCATE,X'01'
         MVI   LOCATE+1,X'80'
         MVI   MASK,X'80'
         L     R8,CODE
         L     R2,STYLE
         SLL   R2,7                in a domain: the codes 85 and 8D
         AR    R8,R2
         SR    R2,R2
         L     R9,AEXPECT
         LA    R12,BODY
         BAL   R14,COMMAND
         L     R1,RECNO
         BAL   R15,RUNCKD
         B     SUCCESS
*
*        Kind 4: one record on each of two tracks, in one channel program. The second track is drawn like the first;
*        if it has no records the first track is formatted.
*
PAIR     BAL   R15,RECORD
         ST    R3,PAIR1
         MVC   PAIR1+4(4),IDENT
         MVC   PAIR1+8(4),RECNO
         MVC   PAIR1+12(4),RECADR
         MVC   PAIR1+16(4),KEYLEN
         BAL   R15,PICK
         ST    R1,SEEK2+2
         CLI   RECORDS(R3),0
         BNE   PAIRED
         L     R3,PAIR1
         MVC   IDENT(4),PAIR1+4
         B     FORMAT
PAIRED   BAL   R15,RECORD
         L     R1,RECNO
         STC   R1,SEEK2+6
         L     R1,RECADR
         MVC   4(4,R1),OP
         L     R4,ASECOND
         BAL   R15,DATA
         LA    R12,BODY+32         behind write, seek, search, transfer
         LA    R8,X'05'
         L     R9,ASECOND
         LH    R1,DATALEN
         SR    R2,R2
         BAL   R14,COMMAND
         MVC   BODY+8(24),SEARCH2
         LA    R1,BODY+16
         STCM  R1,7,BODY+25
         L     R3,PAIR1
         MVC   IDENT(4),PAIR1+4
         MVC   RECNO(4),PAIR1+8
         MVC   RECADR(4),PAIR1+12
         MVC   KEYLEN(4),PAIR1+16
         L     R1,RECADR
         MVC   4(4,R1),OP
         L     R4,AEXPECT
         BAL   R15,DATA
         LA    R12,BODY
         LA    R8,X'05'
         L     R9,AEXPECT
         LH    R1,DATALEN
         LA    R2,CC
         BAL   R14,COMMAND
         MVI   MASK,X'80'
         XC    STYLE(4),STYLE
         L     R1,RECNO
         BAL   R15,RUNCKD
         B     SUCCESS
*
*        Kind 5: all records of a track anew, in another layout.
*
FORMAT   LA    R2,8
         BAL   R14,BELOW
         STC   R1,LAYOUT(,R3)
         SLL   R1,3
         LA    R2,LAYOUTS(R1)
         MVC   RECORDS(1,R3),0(R2)
         MVI   ENDFILE(R3),0
         SR    R1,R1
         IC    R1,RECORDS(,R3)
         STC   R1,LOCATE+3
         LA    R2,8(,R3)
FORMAT1  MVC   0(4,R2),OP
         MVC   4(4,R2),OP
         LA    R2,8(,R2)
         BCT   R1,FORMAT1
         BAL   R15,BUILD
         SH    R12,EIGHT           the last command ends the chain
         NI    4(R12),X'BF'
         MVI   MASK,X'C0'
         MVI   LOCATE,X'03'
         SR    R1,R1
         BAL   R15,RUNCKD
         B     SUCCESS
*
*        Kind 6: an end-of-file record in the place of a record, which cuts off what follows.
*
CUT      SR    R2,R2
         IC    R2,RECORDS(,R3)
         BAL   R14,BELOW           records that stay
         STC   R1,RECORDS(,R3)
         MVI   ENDFILE(R3),1
         ST    R1,RECNO
         L     R4,AEXPECT
         BAL   R15,ENDREC
         MVI   MASK,X'C0'
         MVI   LOCATE,X'03'
         LA    R8,X'1D'
         L     R9,AEXPECT
         L     R1,EOFSIZE
         SR    R2,R2
         LA    R12,BODY
         BAL   R14,COMMAND
         L     R1,RECNO
         BAL   R15,RUNCKD
         B     SUCCESS
*
*        Kind 7: the data of a record and of all behind it, in one domain of locate record.
*
RUN      BAL   R15,RECORD
         MVC   LOCATE+12(1),RECNO+3
         SR    R1,R1
         IC    R1,RECORDS(,R3)
         S     R1,RECNO
         LA    R1,1(,R1)
         STC   R1,LOCATE+3
         MVC   LOCATE+14(2),DATALEN
         LA    R12,BODY
         L     R4,AEXPECT
RUN1     L     R1,RECADR
         MVC   4(4,R1),OP
         LR    R9,R4
         LA    R8,X'85'
         LH    R1,DATALEN
         LA    R2,CC
         BAL   R14,COMMAND
         BAL   R15,DATA
         L     R1,RECADR
         LA    R1,8(,R1)
         ST    R1,RECADR
         L     R1,RECNO
         LA    R1,1(,R1)
         ST    R1,RECNO
         CLC   RECNO+3(1),RECORDS(R3)
         BNH   RUN1
         SH    R12,EIGHT
         NI    4(R12),X'BF'
         MVI   EXTENT,X'80'
         MVI   LOCATE,X'01'
         MVI   LOCATE+1,X'80'
         LA    R1,LOCATES
         BAL   R15,START
         B     SUCCESS
*
*        Fixed-block disks. Kind 0: read and compare blocks; others: write them.
*
BLOCKS   LA    R2,MAXBLKS
         BAL   R14,BELOW
         LA    R1,1(,R1)
         ST    R1,NBLOCKS
         L     R2,COUNT(,R13)
         SR    R2,R1
         AL    R2,ONE
         BAL   R14,BELOW
         ST    R1,FIRSTBLK
         LR    R3,R1
         SLL   R3,2
         A     R3,TABLE(,R13)
         L     R12,NBLOCKS
         L     R4,AEXPECT
         L     R7,DISKNO
         SLL   R7,24
         AR    R7,R1
         A     R7,FIRST(,R13)
BLOCKS1  CLI   KIND,0
         BE    BLOCKS2
         MVC   0(4,R3),OP
BLOCKS2  L     R6,0(,R3)
         LTR   R6,R6
         BNZ   BLOCKS3
         XC    0(256,R4),0(R4)
         XC    256(256,R4),256(R4)
         LA    R4,512(,R4)
         B     BLOCKS4
BLOCKS3  LA    R5,512
         BAL   R14,FILL
BLOCKS4  LA    R3,4(,R3)
         AL    R7,ONE
         BCT   R12,BLOCKS1
         S     R4,AEXPECT
         STH   R4,BLKBODY+6
         L     R1,FIRST(,R13)      the extent is the blocks that the guest may use
         ST    R1,BLKEXT+4
         L     R1,COUNT(,R13)
         S     R1,ONE
         ST    R1,BLKEXT+12
         MVC   BLKLOC+2(2),NBLOCKS+2
         MVC   BLKLOC+4(4),FIRSTBLK
         MVI   BLKEXT,X'40'
         MVI   BLKLOC,X'06'
         MVI   BLKBODY,X'42'
         MVC   BLKBODY+1(3),AFOUND+1
         CLI   KIND,0
         BE    BLOCKS5
         MVI   BLKEXT,X'C0'
         MVI   BLKLOC,X'01'
         MVI   BLKBODY,X'41'
         MVC   BLKBODY+1(3),AEXPECT+1
BLOCKS5  LA    R1,BLKHEAD
         BAL   R15,START
         CLI   KIND,0
         BNE   SUCCESS
         LH    R5,BLKBODY+6
         L     R4,AEXPECT
         B     COMPARE
*
*        RANDOM: the next number (xorshift, 32 bits) in R1; uses R0.
*
RANDOM   L     R1,STATE
         LR    R0,R1
         SLL   R0,13
         XR    R1,R0
         LR    R0,R1
         SRL   R0,17
         XR    R1,R0
         LR    R0,R1
         SLL   R0,5
         XR    R1,R0
         ST    R1,STATE
         BR    R14
*
*        BELOW: a random number below R2, at most 65535, in R1: high half of the next number, times R2 / 65536.
*
BELOW    ST    R14,RETURN1
         BAL   R14,RANDOM
         SRL   R1,16
         MR    R0,R2
         SRL   R1,16
         L     R14,RETURN1
         BR    R14
*
*        PICK: draws a track: R3 its entry, IDENT, and R1 its CCHH.
*
PICK     L     R2,COUNT(,R13)
         BAL   R14,BELOW
         LR    R3,R1
         SLL   R3,8
         A     R3,TABLE(,R13)
         A     R1,FIRST(,R13)
         LR    R2,R1
         SLL   R2,8
         L     R0,DISKNO
         SLL   R0,24
         AR    R2,R0
         ST    R2,IDENT
         SR    R0,R0
         D     R0,HEADS
         SLL   R1,16
         AR    R1,R0
         BR    R15
*
*        RECORD: draws a record of the track at R3, and finds its lengths.
*
RECORD   SR    R2,R2
         IC    R2,RECORDS(,R3)
         BAL   R14,BELOW
         LA    R1,1(,R1)
         ST    R1,RECNO
         SLL   R1,3
         AR    R1,R3
         ST    R1,RECADR
LENGTHS  SR    R2,R2
         IC    R2,LAYOUT(,R3)
         SLL   R2,3
         LA    R2,LAYOUTS(R2)
         MVC   DATALEN(2),2(R2)
         SR    R1,R1
         IC    R1,1(,R2)
         STH   R1,KEYLEN
         BR    R15
*
*        KEY, DATA: the key or the data of record RECNO to R4, by the operation in its entry RECADR.
*
KEY      L     R1,RECADR
         L     R6,0(,R1)
         LH    R5,KEYLEN
         LA    R7,X'80'            a key's identity has this bit
         B     DATA1
DATA     L     R1,RECADR
         L     R6,4(,R1)
         LH    R5,DATALEN
         N     R5,HALF
         SR    R7,R7
DATA1    A     R7,IDENT
         A     R7,RECNO
         BAL   R14,FILL
         BR    R15
*
*        FILL: R5 bytes at R4 by operation R6 and identity R7: both of them, then w, w + GOLDEN, w + 2 GOLDEN ... where
*        w = (operation * HASH1 xor identity) * HASH2 + SEED; cut to length. R4 moves behind. Up to 8 bytes behind are
*        destroyed. Uses R1, R2, R8 to R11.
*
FILL     LTR   R5,R5
         BZ    FILLED
         LR    R9,R6
         M     R8,HASH1
         XR    R9,R7
         M     R8,HASH2
         AL    R9,SEED
         ST    R6,0(,R4)
         ST    R7,4(,R4)
         LA    R1,8(,R4)
         AR    R4,R5
         LR    R11,R4
         S     R11,ONE
         LA    R10,4
         L     R2,GOLDEN
         CR    R1,R11
         BH    FILLED
FILL1    ST    R9,0(,R1)
         ALR   R9,R2
         BXLE  R1,R10,FILL1
FILLED   BR    R14
*
*        BUILD: the track of R3 at EXPECT: R0, records, end-of-file record, end mark; LENGTH is that of the records.
*        BODY gets the commands that write the records, and R12 points behind them.
*
BUILD    ST    R15,RETURN2
         BAL   R15,LENGTHS
         L     R4,AEXPECT
         MVC   0(4,R4),CCHH
         MVC   4(12,R4),RZERO
         LA    R4,16(,R4)
         LA    R12,BODY
         LA    R1,1
BUILD1   ST    R1,RECNO
         CLC   RECNO+3(1),RECORDS(R3)
         BH    BUILD2
         SLL   R1,3
         AR    R1,R3
         ST    R1,RECADR
         MVC   0(4,R4),CCHH
         MVC   4(1,R4),RECNO+3
         MVC   5(1,R4),KEYLEN+1
         MVC   6(2,R4),DATALEN
         LA    R8,X'1D'
         LR    R9,R4
         LH    R1,DATALEN
         N     R1,HALF
         AH    R1,KEYLEN
         LA    R1,8(,R1)
         LA    R2,CC
         BAL   R14,COMMAND
         LA    R4,8(,R4)
         BAL   R15,KEY
         BAL   R15,DATA
         L     R1,RECNO
         LA    R1,1(,R1)
         B     BUILD1
BUILD2   CLI   ENDFILE(R3),1
         BNE   BUILD3
         L     R1,RECNO
         S     R1,ONE
         ST    R1,RECNO
         BAL   R15,ENDREC
BUILD3   LR    R1,R4
         S     R1,AEXPECT
         SH    R1,SIXTEEN
         ST    R1,LENGTH
         MVC   0(8,R4),ENDMARK
         L     R15,RETURN2
         BR    R15
*
*        ENDREC: the end-of-file record behind RECNO to R4.
*
ENDREC   MVC   0(4,R4),CCHH
         XC    4(4,R4),4(R4)
         L     R1,RECNO
         LA    R1,1(,R1)
         STC   R1,4(,R4)
         LA    R4,8(,R4)
         BR    R15
*
*        COMMAND: a channel command word at R12, which moves on: code R8, address R9, flags R2, count R1.
*
COMMAND  ST    R9,0(,R12)
         STC   R8,0(,R12)
         STC   R2,4(,R12)
         MVI   5(R12),0
         STH   R1,6(,R12)
         LA    R12,8(,R12)
         BR    R14
*
*        RUNCKD: leads to record R1 by the head of STYLE and runs BODY.
*
RUNCKD   STC   R1,SEEK+6
         STC   R1,LOCATE+12
         MVC   EXTENT(1),MASK
         LA    R1,SEARCHES
         L     R2,STYLE
         LTR   R2,R2
         BZ    START
         LA    R1,LOCATES
*
*        START: runs the channel program at R1 and returns when it has ended well.
*
START    ST    R1,CAW
         LH    R2,0(,R13)
         SIO   0(R2)
         BC    8,STARTED           started
         BC    4,STORED            status was stored
         LA    R1,1
         B     FAIL
STARTED  LPSW  IOWAIT
IOINT    CLC   IOOLD+2(2),0(R13)   of another device
         BNE   STARTED
STORED   TM    CSW+4,6             device end or unit check
         BZ    STARTED
         CLI   SENSING,1
         BE    BAD
         CLC   CSW+4(2),GOOD
         BCR   8,R15
         LA    R1,2
*
*        FAIL: code R1; stores what is known and stops.
*
FAIL     STM   R0,R15,SAVED
         STC   R1,BADPSW+7
         MVC   BADCSW(8),CSW
         TM    BADCSW+4,2          unit check: there is sense
         BZ    BAD
         MVI   SENSING,1
         LA    R1,GETSENSE
         ST    R1,CAW
         LH    R2,0(,R13)
         SIO   0(R2)
         BC    8,STARTED
BAD      LPSW  BADPSW
*
*        IDLING: waits as DELAY says.
*
IDLING   L     R1,DELAY
         LTR   R1,R1
         BCR   8,R15
         SLL   R1,12               bit 51 of the clock is a microsecond
         STCK  CLOCK
         AL    R1,CLOCK+4
         ST    R1,CLOCK+4
         BC    12,IDLING1          no carry
         L     R1,CLOCK
         AL    R1,ONE
         ST    R1,CLOCK
IDLING1  SCKC  CLOCK
         LPSW  IDLE
WAITED   BR    R15
*
AEXPECT  DC    A(EXPECT)
ASECOND  DC    A(SECOND)
AFOUND   DC    A(FOUND)
HALF     DC    X'0000FFFF'
CODE     DC    F'0'
PAIR1    DC    5F'0'
EIGHT    DC    H'8'
SIXTEEN  DC    H'16'
GOOD     DC    X'0C00'             channel end and device end, nothing else
RZERO    DC    X'000000080000000000000000'
ENDMARK  DC    X'FFFFFFFFFFFFFFFF'
MAXBLKS  EQU   32
