//! Profiles: presets, tables of the file, and the errors of mappings.

use callsign::registration::Encoding;

use super::load;

#[test]
fn profiles_of_the_file_replace_the_defaults() {
    let file = "[[profile]]\nname = 'x'\nselector = 'a in (b)'\nannotation = 'x.io/y'\n";
    let profiles = load("", "", file).unwrap().profiles;
    let parts: Vec<_> =
        profiles.iter().map(|one| (&*one.name, one.selector.as_str(), one.annotation.as_deref())).collect();
    assert_eq!(parts, [("x", "a in (b)", Some("x.io/y"))]);
    for (file, expected) in [
        (format!("{file}{file}"), "given twice"),
        (file.replace("'x'", "'X'"), "its name"),
        (file.replace("a in (b)", " "), "its selector"),
        (file.replace("a in (b)", "a in b"), "label selector, character 6"),
        (file.replace("x.io/y", "x.io/y/z"), "`annotation`: it is not a key"),
        (file.replace("x.io/y", "/y"), "`annotation`: it is not a key"),
        (file.replace("annotation = 'x.io/y'", ""), "`annotation`: it must be given"),
        (file.replace("name", "names"), "line 2: unknown field `names`"),
    ] {
        let error = load("", "", &file).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
    }
}

#[test]
fn presets_come_after_the_tables_of_the_file() {
    let table = |name: &str| format!("[[profile]]\nname = '{name}'\nselector = 'a'\nannotation = 'x.io/y'\n");
    let listed = |list: &str, name: &str| format!("profiles = {list}\n{}", table(name));
    for (flags, variables, file, expected) in [
        ("", "", String::new(), "app dubbo"),
        ("--profiles labels", "", String::new(), "labels"),
        ("--profiles labels,app --profiles kratos", "", String::new(), "labels app kratos"),
        ("", "CALLSIGN_PROFILES=micro,labels", String::new(), "micro labels"),
        ("--profiles app", "CALLSIGN_PROFILES=micro,labels", String::new(), "app"),
        ("", "", "profiles = ['labels']".to_owned(), "labels"),
        ("", "", listed("'labels,app'", "x"), "x labels app"),
        ("--profiles dubbo", "", table("x") + &table("app"), "x app dubbo"),
    ] {
        let profiles = load(flags, variables, &file).unwrap().profiles;
        let names: Vec<&str> = profiles.iter().map(|profile| &*profile.name).collect();
        assert_eq!(names.join(" "), expected, "{flags} {variables} {file}");
    }
    for (flags, file, expected) in [
        ("--profiles app,app", String::new(), "\"app\" is given twice"),
        ("--profiles app", table("app"), "\"app\" is given twice: in this list, or in it and in a [[profile]] table"),
        ("--profiles x", table("x"), "no preset is called \"x\": write some of app, dubbo, kratos, micro, labels"),
        ("--profiles app", (0..16).map(|n| table(&format!("n{n}"))).collect(), "17 profiles, at most 16"),
    ] {
        let error = load(flags, "", &file).unwrap_err();
        assert!(error.contains(expected), "{flags} {file}: {error}");
    }
}

#[test]
fn an_error_in_a_mapping_names_the_key_and_what_may_stand_there() {
    for (keys, expected) in [
        ("", "profile \"x\": `annotation`: it must be given"),
        ("encoding = 'yaml'", "`encoding`: write `pairs`"),
        ("encoding = 5", "`encoding`: write `pairs`"),
        ("annotation = 5", "`annotation`: it is not a key that Kubernetes takes, such as"),
        (
            "encoding = 'keys'\ninterface = '=password=hunter2'",
            "`interface`: the text after `=` looks like a secret, which is never published: write `=TEXT`",
        ),
        (
            "encoding = 'keys'\ninterface = \"=a\\nb\"",
            "`interface`: the text after `=` has control characters: write `=TEXT`",
        ),
        ("encoding = 'keys'\ninterface = '= '", "`interface`: no text stands after `=`: write `=TEXT`"),
        ("encoding = 'keys'", "`interface`: it must be given: `=TEXT`, `label:KEY` or `annotation:KEY`"),
        ("encoding = 'keys'\ninterface = 'lable:x'", "`interface`: write `=TEXT`, `label:KEY` or `annotation:KEY`"),
        ("encoding = 'keys'\ninterface = '=x'\nport = 'port:HTTP'", "`port`: after `port:` stands `*`"),
        ("encoding = 'keys'\ninterface = '=x'\nmetadata = ['x']", "`metadata`: each is `annotation:KEY`"),
        ("encoding = 'keys'\ninterface = '=x'\nannotation = 'x.io/y'", "`annotation`: only `encoding = \"pairs\"`"),
        ("annotation = 'x.io/y'\nport = '=1'", "`port`: only `encoding = \"keys\"` and `encoding = \"dubbo3\"`"),
        ("annotation = 'y'\nplain = true", "`annotation`: with `plain = true` it needs a slash"),
        ("encoding = 'keys'\ninterfce = '=x'", "unknown field `interfce`"),
    ] {
        let error = load("", "", &format!("[[profile]]\nname = 'x'\nselector = 'a'\n{keys}\n")).unwrap_err();
        assert!(error.contains(expected), "{keys}: {error}");
    }
    let keys = "encoding = 'keys'\ninterface = 'label:a'\nport = 'port:*'\nmetadata = 'prefix:x.io/meta-'";
    let config = load("", "", &format!("[[profile]]\nname = 'x'\nselector = 'a'\n{keys}\n")).unwrap();
    assert!(matches!(config.profiles[0].encoding, Encoding::Keys(_)));
}

/// Whatever stands there instead, a number or a list too: the error names the profile, the key, and what may stand there.
#[test]
fn each_key_of_a_mapping_has_its_error() {
    let text = "`=TEXT`, `label:KEY` or `annotation:KEY`";
    let number = "`=NUMBER`, `label:KEY` or `annotation:KEY`";
    let port = "`=NUMBER`, `label:KEY`, `annotation:KEY`, `port:NAME` for a container port, or `port:*`";
    let object = "`annotation:KEY`, an annotation with a JSON object";
    let keys = [("interface", text), ("group", text), ("version", text), ("protocol", text), ("application", text)];
    let keys = keys.into_iter().chain([("weight", number), ("port", port), ("ports", object), ("metadata", object)]);
    for (key, may_stand) in keys {
        let interface = if key == "interface" { "" } else { "interface = '=x'\n" };
        for wrong in ["'x'", "''", "'lable:x'", "'label'", "'prefix'", "80", "1.5", "true", "[1]", "{ label = 'x' }"] {
            let file =
                format!("[[profile]]\nname = 'x'\nselector = 'a'\nencoding = 'keys'\n{interface}{key} = {wrong}\n");
            if key == "metadata" && wrong == "''" {
                load("", "", &file).expect("an empty list");
                continue;
            }
            let error = load("", "", &file).expect_err(&file);
            let expected = format!("profile \"x\": `{key}`: ");
            assert!(error.contains(&expected) && error.contains(may_stand), "{key} = {wrong}: {error}");
        }
        if key != "ports" && key != "metadata" {
            let file = format!("[[profile]]\nname = 'x'\nselector = 'a'\nencoding = 'keys'\n{interface}{key} = '='\n");
            let error = load("", "", &file).expect_err(&file);
            assert!(error.contains(&format!("`{key}`: no text stands after `=`: write {may_stand}")), "{error}");
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_named_by_its_key() {
    for (file, expected) in [
        ("[[profile]]\nname = 'x'\nplain = 'yes'", "line 3: `plain`: invalid type"),
        ("[[profile]]\nname = 5", "line 2: `name`: invalid type"),
        (
            "[profile]\nname = 'x'",
            "line 1: `profile`: invalid type: map, expected tables, each under a line `[[profile]]`",
        ),
        ("[[profiles]]\nname = 'x'", "line 1: `profiles`: invalid type"),
        ("\n  ttl = [5]", "line 2: `ttl`: invalid type"),
    ] {
        let error = load("", "", file).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
    }
}
