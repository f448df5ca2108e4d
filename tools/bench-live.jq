# The table of tools/bench-live, from its results: medians over the runs, and ratios beside their aims.

def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor] else (.[length / 2] + .[length / 2 - 1]) / 2 end;
def of(field): map(field) | median;
def worst(field): map(field) | max;
# Digits that matter.
def short: if . == null then "-" elif . >= 100 then round | tostring else (. * 100 | round) / 100 | tostring end;
def ms: (. / 1000) | short;
def row: join("\t");

. as $results
| [.[] | select(.phase == "copy" and .way == "none")] as $alone
| ($alone | of(.mb_per_second)) as $alone_rate
| ( ["host", "phase", "writes/s", "write p50 us", "p99 us", "due p99 us", "worst gap ms", "gaps > 100 ms", "kept %"] | row ),
  ( [$results[] | select(.way != "none" and .phase != "copy")] | group_by([.way, -.rate])[] | . as $load
  | ("before", "session", "after") as $phase
  | [$load[] | select(.phase == $phase)]
  | [ "\(.[0].way) \(if .[0].rate == 0 then "saturating" else "\(.[0].rate)/s" end)", $phase, (of(.writes_per_second) | short),
      (of(.write_p50) | short), (of(.write_p99) | short), (of(.due_p99) | short), (worst(.worst_gap) | ms),
      (worst(.gaps_over_100_ms) | tostring), (of(.kept_percent) | short) ] | row ),
  "",
  ( ["host", "what", "ratio or value", "aim"] | row ),
  ( ["none", "copy MB/s", ($alone_rate | short), ">= 450"] | row ),
  ( [$results[] | select(.way != "none")] | group_by([.way, -.rate])[] | . as $load
  | "\(.[0].way) \(if .[0].rate == 0 then "saturating" else "\(.[0].rate)/s" end)" as $host
  | def phase($name): [$load[] | select(.phase == $name)];
    def ratio(field): (phase("session") | of(field)) / (phase("before") | of(field));
    ( if .[0].rate == 0
      then ( [$host, "rate kept in the session", (ratio(.writes_per_second) | short), ">= 0.5"] | row )
      else ( [$host, "p99 in the session : before", (ratio(.write_p99) | short), "<= 2"] | row ),
           ( [$host, "p99 from when due", (ratio(.due_p99) | short), "<= 2"] | row ),
           ( [$host, "writes kept %", (phase("session") | of(.kept_percent) | short), "100"] | row )
      end ),
    ( [$host, "worst gap in the session, ms", (phase("session") | worst(.worst_gap) | ms), "<= 100"] | row ),
    ( [$host, "copy MB/s beside it", (phase("copy") | of(.mb_per_second) | short), ">= 450"] | row ),
    ( [$host, "tracks copied in front of writes", (phase("copy") | of(.out_of_order) | short), "-"] | row ),
    ( [$host, "held at T0, ms", (phase("copy") | worst(.t0_held) | ms), "< 10"] | row ),
    ( [$host, "p50 after the session : before", ((phase("after") | of(.write_p50)) / (phase("before") | of(.write_p50)) | short), "1"] | row ) )
