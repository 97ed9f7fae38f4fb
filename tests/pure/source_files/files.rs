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
    let problem = loaded.problems()[0].to_string();
    assert!(problem.contains("b.yaml, document 1, Pod default/p: it replaces the Pod in"), "{problem}");
    let turned = Held::load(&[folder.0.join("b.yaml"), folder.0.join("a.yaml")]);
    assert_eq!(turned.pods[0].pod.status.pod_ips[0].to_string(), "10.0.0.1");
}

/// Opening a pipe waits for its writer, and a device may have no end. Neither may keep the other files from being read.
#[test]
fn a_folders_pipes_and_devices_are_not_opened() {
    let folder = Folder::new("pipes");
    folder.write("c.yaml", &pod("p"));
    let made = std::process::Command::new("mkfifo").arg(folder.0.join("a.yaml")).status().expect("run mkfifo");
    assert!(made.success());
    std::os::unix::fs::symlink("/dev/zero", folder.0.join("b.yaml")).expect("a link");
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems().len()), (vec!["default/p"], 2));
    for problem in loaded.problems() {
        assert_eq!(problem.reason, "not a regular file", "{problem}");
    }
}

/// The API server refuses a second Pod of a name, whatever its uid. The first one stays.
#[test]
fn a_second_pod_of_a_name_is_refused() {
    let pod = |uid: &str, ip: &str| {
        let uid = if uid.is_empty() { String::new() } else { format!(", uid: {uid}") };
        format!("kind: Pod\nmetadata: {{name: p, namespace: shop{uid}}}\nstatus: {{podIP: {ip}}}\n")
    };
    let [one, two] = ["10.0.0.1", "10.0.0.2"];
    let cases = [
        ("two files", vec![("a.yaml", pod("u", one)), ("b.yaml", pod("v", two))], "u"),
        ("two documents", vec![("a.yaml", format!("{}---\n{}", pod("u", one), pod("v", two)))], "u"),
        ("a uid and none", vec![("a.yaml", pod("u", one)), ("b.yaml", pod("", two))], "u"),
        ("none and a uid", vec![("a.yaml", pod("", one)), ("b.yaml", pod("v", two))], "shop/p"),
    ];
    for (case, files, uid) in cases {
        let folder = Folder::new("namesakes");
        files.iter().for_each(|(name, text)| _ = folder.write(name, text));
        let held = folder.load();
        assert_eq!(names(&held), [uid], "{case}");
        assert_eq!(held.pods[0].pod.status.pod_ips[0].to_string(), one, "{case}");
        let [problem] = held.problems() else { panic!("{case}: {:?}", held.problems()) };
        let text = problem.to_string();
        assert!(
            text.contains("Pod shop/p: the Pod in ") && text.contains("a.yaml, document 1 has the same name"),
            "{text}"
        );
    }
    // The same name in another namespace is another Pod.
    let folder = Folder::new("namespaces");
    folder.write("a.yaml", &format!("{}---\n{}", pod("u", one), pod("v", two).replace("shop", "bar")));
    assert_eq!((names(&folder.load()), folder.load().problems()), (vec!["u", "v"], &[][..]));
}

#[test]
fn a_file_is_read_once_by_whatever_path() {
    let folder = Folder::new("once");
    let file = folder.write("a.yaml", &pod("p"));
    std::os::unix::fs::symlink("a.yaml", folder.0.join("soft.yaml")).expect("a link");
    fs::hard_link(&file, folder.0.join("hard.yaml")).expect("a link");
    let other = Folder::new("once-more");
    std::os::unix::fs::symlink(&folder.0, other.0.join("folder")).expect("a link");
    let paths = [folder.0.clone(), folder.0.join("."), other.0.join("folder"), file];
    for count in 1..=paths.len() {
        let held = Held::load(&paths[..count]);
        assert_eq!((names(&held), held.problems(), held.loaded.files), (vec!["default/p"], &[][..], 1), "{count}");
    }
}

#[test]
fn a_load_counts_what_it_could_open_and_names_what_is_empty() {
    let folder = Folder::new("counts");
    let good = folder.write("a.yaml", &pod("p"));
    let void = folder.write("b.yaml", "");
    let comment = folder.write("c.yaml", "# nothing\n---\n");
    let list = folder.write("d.yaml", "kind: List\nitems: []\n");
    let bad = folder.write("e.yaml", "kind: [\n");
    let other = folder.write("f.yaml", "kind: Service\n");
    let missing = folder.0.join("g.yaml");
    let held = Held::load(&[good, void.clone(), comment.clone(), list.clone(), bad, other, missing]);
    assert_eq!((held.loaded.files, &held.loaded.empty[..]), (6, &[void, comment, list][..]));
}
