//! Views under another volume serial.

use tapegate::catalog::Catalog;

use crate::service::{Service, request};

#[test]
fn a_view_under_another_serial_shows_it_and_says_what_bears_the_old_one() {
    for (name, old, bears) in [
        ("tiny.ckd", "TINY01", "data sets name it as their first volume (DS1DSSN)"),
        ("linux.cckd", "LINUX1", "nothing else in its VTOC bears the old one"),
        ("tiny.fba", "FBA001", "nothing else in its VTOC bears the old one"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut service = Service::over(folder.path(), name);
        for view in ["yesterday", "trial"] {
            let mut request = request(view);
            request.volumes[0].view_volser = Some("NEW001".to_owned());
            let session = service.sessions.start(request, None).unwrap();
            let findings = session.status().findings;
            let told = |finding: &&tapegate::live::status::StatusFinding| finding.text.contains(bears) && !finding.damage;
            assert!(findings.iter().find(told).is_some_and(|finding| finding.text.contains(old)), "{findings:?}");
        }
        for restarted in [false, true] {
            if restarted {
                service = service.restart(true);
            }
            for (view, serial) in [("yesterday", "NEW001"), ("trial", "NEW001")] {
                let catalog = Catalog::of_volume(&**service.views[view].gate.disk()).unwrap();
                assert_eq!(catalog.label.volser().unwrap().to_string(), serial, "{name}");
            }
            let volume = Catalog::of_volume(&*service.volume).unwrap();
            assert_eq!(volume.label.volser().unwrap().to_string(), old);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "raw.cckd");
    let mut request = request("yesterday");
    request.volumes[0].view_volser = Some("NEW001".to_owned());
    let refused = service.sessions.start(request, None).unwrap_err().to_string();
    assert_eq!(refused, "vol has no volume label that --view-volser could change");
}
