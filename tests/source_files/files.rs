//! Files and folders, and what stands in several of them.

use std::fs;

use super::{Folder, Held, names, pod};

#[test]
fn folders_are_one_level_and_links_are_followed() {
    let folder = Folder::new("links");
    // As the kubelet mounts a ConfigMap: ..data points to a folder, and the files are links through it.
    fs::create_dir_all(folder.0.join("..2024/deeper.yaml")).expect("a folder");
    fs::write(folder.0.join("..2024/a.yaml"), pod("linked")).expect("a file");
    std::os::unix::fs::symlink("..2024", folder.0.join("..data")).expect("a link");
    std::os::unix::fs::symlink("..data/a.yaml", folder.0.join("a.yaml")).expect("a link");
    fs::create_dir_all(folder.0.join("below.yaml")).expect("a folder");
    fs::write(folder.0.join("below.yaml/b.yaml"), pod("below")).expect("a file");
    fs::write(folder.0.join(".hidden.yaml"), pod("hidden")).expect("a file");
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems().len()), (vec!["default/linked"], 0));
}

#[test]
fn a_missing_file_is_a_problem() {
    let folder = Folder::new("absent");
    let good = folder.write("a.yaml", &pod("p"));
    let loaded = Held::load(&[folder.0.join("b.yaml"), good.clone(), good]);
    assert_eq!((names(&loaded), loaded.problems().len()), (vec!["default/p"], 1));
    assert!(loaded.problems()[0].to_string().contains("b.yaml: "), "{}", loaded.problems()[0]);
}

#[test]
fn the_later_of_two_with_one_uid_wins() {
    let folder = Folder::new("twice");
    folder.write("a.yaml", &pod("p"));
    folder.write("b.yaml", &pod("p").replace("10.0.0.1", "10.0.0.2"));
    let loaded = folder.load();
    assert_eq!(names(&loaded), ["default/p"]);
    assert_eq!(loaded.pods[0].pod.status.pod_ips[0].to_string(), "10.0.0.2");
    assert!(loaded.problems()[0].reason.contains("default/p"), "{:?}", loaded.problems());
    let turned = Held::load(&[folder.0.join("b.yaml"), folder.0.join("a.yaml")]);
    assert_eq!(turned.pods[0].pod.status.pod_ips[0].to_string(), "10.0.0.1");
}
