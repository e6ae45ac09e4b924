//! Rules against events, and rules that are wrong against their messages.

use proptest::prelude::*;

use super::*;

fn rules(toml: &str) -> Rules {
    Rules::parse(toml).expect("valid rules")
}

/// What an event comes to: its adds, or the reason against it; none where no rule matches.
fn judge(rules: &Rules, json: &str) -> Result<Vec<(String, i64)>, String> {
    let (mut event, mut adds) = (Event::default(), Adds::default());
    let outcome = rules
        .structured(json.as_bytes(), &mut event, &mut adds)
        .map_err(|rejected| {
            assert!(adds.is_empty(), "all or nothing");
            rejected.reason
        })?;
    assert_eq!(outcome == Outcome::Counted, !adds.is_empty());
    Ok(adds.iter().map(|(key, amount)| (key.to_owned(), amount)).collect())
}

fn event(fields: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"7","source":"/s","type":"t"{fields}}}"#)
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what `judge` returns")]
fn added(key: &str, amount: i64) -> Result<Vec<(String, i64)>, String> {
    Ok(vec![(key.to_owned(), amount)])
}

fn rejected(reason: &str) -> Result<Vec<(String, i64)>, String> {
    Err(reason.to_owned())
}

#[test]
fn values_stand_in_keys() {
    let rules = rules(r#"rule = [{ match = {}, count = ["{{{data.a.0.b}}}:{subject}"] }]"#);
    let with = |value: &str| {
        judge(
            &rules,
            &event(&format!(r#","data":{{"a":[{{"b":{value}}}]}},"subject":"s""#)),
        )
    };
    assert_eq!(with(r#""tex\u0074 é""#), added("{text é}:s", 1));
    assert_eq!(with("-12"), added("{-12}:s", 1));
    assert_eq!(with("18446744073709551615"), added("{18446744073709551615}:s", 1));
    assert_eq!(with("2.50"), added("{2.5}:s", 1));
    assert_eq!(with("5.0"), added("{5}:s", 1));
    assert_eq!(with("0.1000000000000000055"), added("{0.1}:s", 1));
    assert_eq!(with("true"), added("{true}:s", 1));
    assert_eq!(
        with("18446744073709551616"),
        rejected("`data.a.0.b` is too large to be exact")
    );
    assert_eq!(with("null"), rejected("no `data.a.0.b`"));
    assert_eq!(with("{}"), rejected("`data.a.0.b` is no text, number or boolean"));
    assert_eq!(with("[1]"), rejected("`data.a.0.b` is no text, number or boolean"));
    assert_eq!(judge(&rules, &event(r#","subject":"s""#)), rejected("no `data.a.0.b`"));
    assert_eq!(
        judge(&rules, &event(r#","data":{"a":"text"},"subject":"s""#)),
        rejected("no `data.a.0.b`")
    );
    assert_eq!(
        with(&format!("\"{}\"", "x".repeat(1_020))),
        added(&format!("{{{}}}:s", "x".repeat(1_020)), 1)
    );
    assert_eq!(
        with(&format!("\"{}\"", "x".repeat(1_021))),
        rejected("a key is longer than 1,024 bytes")
    );
}

#[test]
fn a_key_of_nothing_is_rejected() {
    let rules = rules(r#"rule = [{ match = {}, count = ["a", "{data}"] }]"#);
    assert_eq!(judge(&rules, &event(r#","data":"""#)), rejected("a key is empty"));
    assert_eq!(
        judge(&rules, &event(r#","data":"b""#)),
        Ok(vec![("a".to_owned(), 1), ("b".to_owned(), 1)])
    );
}

#[test]
fn amounts_are_integers_of_64_bits() {
    let rules = rules("[[rule]]\nmatch = {}\ncount = [\"k\"]\namount = \"data.n\"");
    let with = |amount: &str| judge(&rules, &event(&format!(r#","data":{{"n":{amount}}}"#)));
    assert_eq!(with("5"), added("k", 5));
    assert_eq!(with("5.0"), added("k", 5));
    assert_eq!(with("-0"), added("k", 0));
    assert_eq!(with("9223372036854775807"), added("k", i64::MAX));
    assert_eq!(with("-9223372036854775808"), added("k", i64::MIN));
    assert_eq!(with("9223372036854775808"), rejected("`data.n` is beyond 64 bits"));
    for wrong in ["5.5", "1e300", "\"5\"", "true", "[5]", "{}"] {
        assert_eq!(with(wrong), rejected("`data.n` is no integer"), "{wrong}");
    }
    assert_eq!(with("null"), rejected("no `data.n`"));
    assert_eq!(judge(&rules, &event("")), rejected("no `data.n`"));
}

#[test]
fn an_attribute_is_text_in_either_mode() {
    let rules =
        rules("[[rule]]\nmatch = { priority = 5, urgent = true }\ncount = [\"k:{priority}\"]\namount = \"priority\"");
    assert_eq!(judge(&rules, &event(r#","priority":5,"urgent":true"#)), added("k:5", 5));
    assert_eq!(
        judge(&rules, &event(r#","priority":"5","urgent":"true""#)),
        added("k:5", 5)
    );
    assert_eq!(judge(&rules, &event(r#","priority":6,"urgent":true"#)), Ok(vec![]));
}

#[test]
fn conditions_compare_by_value_and_type() {
    let cases = [
        ("404", "404", true),
        ("404", "404.0", true),
        ("404.0", "404", true),
        ("0x194", "404", true),
        ("404", "\"404\"", false),
        ("\"404\"", "404", false),
        ("1.5", "1.5", true),
        ("1e300", "1e300", true),
        ("true", "true", true),
        ("true", "1", false),
        ("\"\"", "null", false),
        ("\"a\"", "[\"a\"]", false),
    ];
    for (rule, value, matches) in cases {
        for path in ["\"data.x\"", "data.x"] {
            let rules = rules(&format!(
                "[[rule]]\nmatch = {{ type = \"t\", {path} = {rule} }}\ncount = [\"k\"]"
            ));
            let adds = judge(&rules, &event(&format!(r#","data":{{"x":{value}}}"#)));
            assert_eq!(adds.map(|adds| !adds.is_empty()), Ok(matches), "{rule} {value}");
            assert_eq!(judge(&rules, &event("")), Ok(vec![]), "a missing field does not match");
        }
    }
}

#[test]
fn every_rule_that_matches_counts_or_none() {
    let rules = rules(
        "[[rule]]\nmatch = {}\ncount = [\"a\", \"b\"]\n[[rule]]\nmatch = { type = \"t\" }\ncount = [\"a\"]\namount = \"data.n\"\n\
         [[rule]]\nmatch = { type = \"u\" }\ncount = [\"c\"]",
    );
    let adds = [("a", 1), ("b", 1), ("a", -3)].map(|(key, amount)| (key.to_owned(), amount));
    assert_eq!(judge(&rules, &event(r#","data":{"n":-3}"#)), Ok(adds.to_vec()));
    assert_eq!(
        judge(&rules, &event(r#","data":{"n":"x"}"#)),
        rejected("`data.n` is no integer")
    );
}

#[test]
fn wrong_rules_say_where_and_what() {
    let rule = |rest: &str| format!("[[rule]]\nmatch = {{}}\n{rest}\n");
    let count = |key: &str| rule(&format!("count = [{key}]"));
    let cases = [
        (
            String::new(),
            "line 1, column 1: there is no rule; one begins with [[rule]]",
        ),
        (
            "# nothing".to_owned(),
            "line 1, column 1: there is no rule; one begins with [[rule]]",
        ),
        (
            "[[rules]]".to_owned(),
            "line 1, column 3: unknown `rules`; rules are written as [[rule]]",
        ),
        (
            "[rule]".to_owned(),
            "line 1, column 2: a rule begins with [[rule]], in double brackets",
        ),
        (
            "rule = [1]".to_owned(),
            "line 1, column 9: a rule is a table, begun with [[rule]]",
        ),
        (
            "[[rule]]\ncount = [\"a\"]".to_owned(),
            "line 1, column 1: this rule has no `match`; to count every event, write match = {}",
        ),
        (
            rule(""),
            "line 1, column 1: this rule has no `count`: the keys it counts into",
        ),
        (
            rule("cuont = [\"a\"]"),
            "line 3, column 1: unknown field `cuont`; a rule has `match`, `count` and `amount`",
        ),
        (
            rule("count = []"),
            "line 3, column 9: `count` is empty: name at least one key",
        ),
        (
            rule("count = \"a\""),
            "line 3, column 9: `count` is a list of keys, such as [\"requests:all\"]",
        ),
        (count("1"), "line 3, column 10: a key is a string"),
        (count("\"\""), "line 3, column 11: the key is empty"),
        (
            count("\"a\", \"a\""),
            "line 3, column 15: this key stands twice in one rule; to count it twice, write an `amount`",
        ),
        (count("\"a:{}\""), "line 3, column 13: no field is named"),
        (
            count("\"é:{data.x\""),
            "line 3, column 13: this `{` is never closed; a brace in a key is written `{{`",
        ),
        (
            count("\"{data.{x}}\""),
            "line 3, column 11: this `{` is never closed; a brace in a key is written `{{`",
        ),
        (
            count("'''a}'''"),
            "line 3, column 14: this `}` closes nothing; a brace in a key is written `}}`",
        ),
        (
            count("\"\\ta}\""),
            "line 3, column 10: this `}` closes nothing; a brace in a key is written `}}`",
        ),
        (
            count("\"{data..x}\""),
            "line 3, column 11: the field `data..x` has an empty part",
        ),
        (
            count("\"{status.code}\""),
            "line 3, column 11: `status.code` is no field of an event: attributes are named in lower-case letters and digits, \
             what stands in the data as `data.status.code`",
        ),
        (
            count("\"{data_base64}\""),
            "line 3, column 11: binary data (`data_base64`) has no fields that could be counted",
        ),
        (
            rule("count = [\"a\"]\namount = 1.5"),
            "line 4, column 10: `amount` is an integer, or the field that holds one, such as \"data.bytes\"",
        ),
        (
            rule("count = [\"a\"]\namount = \"\""),
            "line 4, column 10: no field is named",
        ),
        (
            rule("count = [\"a\"]\namount = 9223372036854775808"),
            "line 4, column 10: this integer is beyond 64 bits",
        ),
        (
            "[[rule]]\nmatch = \"t\"\ncount = [\"a\"]".to_owned(),
            "line 2, column 9: `match` is a table of fields and values, such as { type = \"web.request\" }",
        ),
        (
            "[[rule]]\nmatch = { type = [\"t\"] }".to_owned(),
            "line 2, column 18: a field is matched with one string, integer, float or boolean",
        ),
        (
            "[[rule]]\nmatch = { type = {} }".to_owned(),
            "line 2, column 18: a field is matched with one string, integer, float or boolean",
        ),
        (
            "[[rule]]\nmatch = { time = 2015-05-17 }".to_owned(),
            "line 2, column 18: a time is matched as text: put it in quotes",
        ),
        (
            "[[rule]]\nmatch = { data.x = nan }".to_owned(),
            "line 2, column 20: no event has this number",
        ),
        (
            "[[rule]]\nmatch = { \"\" = 1 }".to_owned(),
            "line 2, column 11: no field is named",
        ),
        (
            "[[rule]]\nmatch = { Type = 1 }".to_owned(),
            "line 2, column 11: `Type` is no field of an event: attributes are named in lower-case letters and digits, what \
             stands in the data as `data.Type`",
        ),
    ];
    for (toml, message) in cases {
        assert_eq!(
            Rules::parse(&toml)
                .map(|rules| rules.len())
                .map_err(|error| error.to_string()),
            Err(message.to_owned()),
            "{toml}"
        );
    }
}

#[test]
fn broken_toml_says_where() {
    for (toml, line, column) in [
        ("[[rule]\n", 1, 8),
        ("a = 1\na = 2", 2, 1),
        ("[[rule]]\nmatch = {", 2, 10),
        ("x", 1, 2),
    ] {
        let error = Rules::parse(toml).expect_err("broken");
        assert_eq!((error.line, error.column), (line, column), "{toml:?}: {error}");
        assert!(!error.message.is_empty() && !error.message.contains('\n'), "{error}");
    }
}

#[test]
fn sizes_are_bounded() {
    let one = "[[rule]]\nmatch = {}\ncount = [\"a\"]\n";
    assert_eq!(rules(&one.repeat(MAX_RULES)).len(), MAX_RULES);
    assert!(Rules::parse(&one.repeat(MAX_RULES + 1)).is_err());
    let keys: Vec<_> = (0..=MAX_KEYS_A_RULE).map(|key| format!("\"k{key}\"")).collect();
    assert!(Rules::parse(&format!("[[rule]]\nmatch = {{}}\ncount = [{}]", keys.join(","))).is_err());
    assert!(Rules::parse(&format!("[[rule]]\nmatch = {{}}\ncount = [\"{}\"]", "k".repeat(1_025))).is_err());
    assert!(Rules::parse(&"#".repeat(MAX_RULES_BYTES + 1)).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(
        text in prop_oneof![any::<String>(), "[\\[\\]rulemachont =\\{\\}\"'.,0-9\n]{0,60}"],
        key in "[a-z{}.:é]{0,20}",
    ) {
        let escaped = toml::Value::String(key).to_string();
        for toml in [text, format!("[[rule]]\nmatch = {{}}\ncount = [{escaped}]")] {
            if let Err(error) = Rules::parse(&toml) {
                prop_assert!(error.line >= 1 && error.column >= 1 && error.line <= toml.matches('\n').count() + 1);
            }
        }
    }
}
