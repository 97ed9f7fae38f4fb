//! What profiles cost the API server: one watch for each distinct selector and namespace, whatever the number of profiles.

use std::fs;

use serde_json::json;

use crate::harness::cluster::Cluster;
use crate::harness::faults::{FaultyWay, Point};
use crate::harness::process::scratch;
use crate::harness::server::Server;
use crate::harness::within_a_second;

/// Tables with the selector of the preset `app`, twice, and with one of their own, twice. Its second spelling means the same.
const TABLES: &str = "
[[profile]]
name = 'other-annotation'
selector = 'app.io/label=app.io-value'
annotation = 'example.com/registrations'

[[profile]]
name = 'mapped'
selector = 'app.io/label=app.io-value'
encoding = 'keys'
interface = 'annotation:example.com/interface'
port = '=7000'

[[profile]]
name = 'version'
selector = 'team,version'
encoding = 'keys'
interface = 'label:version'
port = '=7001'

[[profile]]
name = 'team'
selector = 'version, team'
encoding = 'keys'
interface = 'label:team'
port = '=7002'
";

#[test]
fn profiles_of_one_selector_share_a_watch() {
    let cluster = Cluster::shared();
    let (one, other) = (cluster.namespace("watches-a"), cluster.namespace("watches-b"));
    let config = scratch("watches").join("callsign.toml");
    fs::write(&config, TABLES).expect("write a file");
    let config = config.to_str().expect("a path of UTF-8");
    for (presets, namespaces, watches) in [
        ("app", vec![&one], 2),
        ("app,labels", vec![&one], 3),
        ("app,dubbo,kratos,micro,labels", vec![&one], 6),
        ("app", vec![&one, &other], 4),
    ] {
        let way = FaultyWay::start(cluster, cluster.own_client());
        let kubeconfig = way.kubeconfig();
        let mut args = vec!["--kubeconfig", &kubeconfig, "--config", config, "--profiles", presets];
        namespaces.iter().for_each(|namespace| args.extend(["--namespace", &namespace.name]));
        let server = Server::start(&args);
        let count = || (way.asked(Point::List), way.asked(Point::Watch));
        let (lists, later) = count();
        assert_eq!(lists, watches, "{presets} in {} namespaces; {later} later watches", namespaces.len());

        // Every profile is a source with an age of its own, and each reads the Pod from the shared watch.
        let metrics = server.get("/metrics").1;
        let profiles = 4 + presets.split(',').count();
        let ages = metrics.lines().filter(|line| line.starts_with("callsign_source_age_seconds{")).count();
        assert_eq!(ages, profiles * namespaces.len(), "{metrics}");
        let pod = one.pod(&format!("greeter-{lists}-{ages}"));
        pod.patch(json!({ "metadata": {
            "labels": { "app.io/label": "app.io-value", "team": "red", "version": "v9" },
            "annotations": {
                "app.io/interface": "plain", "app.io/port": "7003", "example.com/interface": "mapped",
                "example.com/registrations": "{\"interface\": \"other\", \"port\": 7004}",
            },
        } }));
        pod.run(&[&one.ip(7)]);
        for (interface, port) in [("plain", 7003), ("other", 7004), ("mapped", 7000), ("v9", 7001), ("red", 7002)] {
            let target = one.ip(7).replace('.', "-");
            let expected = format!("0 100 {port} {target}.p.rpc.cluster.local.");
            within_a_second(|| {
                let name = format!("_rpc._tcp.{interface}.{}.rpc.cluster.local.", one.name);
                let dig = server.dig(&["SRV", &name]);
                (dig.data() == [expected.as_str()]).then_some(()).ok_or(dig.text)
            });
        }
        assert_eq!(way.asked(Point::List), watches, "a change of a Pod lists nothing again");
        pod.delete();
    }
}
