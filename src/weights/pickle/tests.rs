use super::reader::MAX_OPCODES;
use super::*;
use crate::Error;
use crate::weights::element::Element;

fn error(bytes: &[u8]) -> String {
    match read(bytes, "test.pkl", 0) {
        Err(Error::Model(text)) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn classes_and_opcodes_are_named() {
    let text = error(b"\x80\x02cos\nsystem\nU\x02lsR.");
    assert!(text.contains("'os.system'") && text.contains("test.pkl") && text.contains("byte 2"), "{text}");
    let text = error(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.");
    assert!(text.contains("'builtins.eval'"), "{text}");
    let text = error(b"(i__main__\nX\n.");
    assert!(text.contains("0x69 (INST)"), "{text}");
    let text = error(b"\xfe.");
    assert!(text.contains("0xfe"), "{text}");
}

#[test]
fn protocol_0_and_2() {
    // pickle.dumps({'a': [1, 2.5, None, True], 'b': (3,)}, 0)
    let bytes = b"(dp0\nVa\np1\n(lp2\nI1\naF2.5\naNaI01\nasVb\np3\n(I3\ntp4\ns.";
    let p = read(bytes, "t", 0).unwrap();
    let a = p.get(p.root(), "a").unwrap();
    let items = p.items(a).unwrap();
    assert_eq!(p.int(items[0]), Some(1));
    assert!(matches!(p.node(items[1]), Node::Float(v) if *v == 2.5));
    assert!(matches!(p.node(items[2]), Node::None));
    assert!(matches!(p.node(items[3]), Node::Bool(true)));
    let b = p.get(p.root(), "b").unwrap();
    assert_eq!(p.items(b).map(|i| p.int(i[0])), Some(Some(3)));
    assert_eq!(p.end, bytes.len());

    let p = read(b"\x80\x02\x8a\x01\xff.rest", "t", 0).unwrap();
    assert_eq!((p.int(p.root()), p.end), (Some(-1), 6));
    let p = read(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "t", 0).unwrap();
    assert!(matches!(p.node(p.root()), Node::Long(b) if b.len() == 10));
    let p = read(b"S'a\\x41\\n'\n.", "t", 0).unwrap();
    assert_eq!(p.text(p.root()), Some("aA\n"));
    let p = read(b"V\\u00e9\xe9\n.", "t", 0).unwrap();
    assert_eq!(p.text(p.root()), Some("\u{e9}\u{e9}"));
}

#[test]
fn a_numpy_array_of_protocol_2_is_latin_1() {
    // What Python 3 writes for numpy.array([-1], '<i2') with protocol 2.
    let mut bytes = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85".to_vec();
    bytes.extend(b"c_codecs\nencode\nX\x01\x00\x00\x00bX\x06\x00\x00\x00latin1\x86R\x87R");
    bytes.extend(b"(K\x01K\x01\x85cnumpy\ndtype\nX\x02\x00\x00\x00i2\x89\x88\x87R");
    bytes.extend(b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89");
    bytes.extend(b"c_codecs\nencode\nX\x04\x00\x00\x00\xc3\xbf\xc3\xbfX\x06\x00\x00\x00latin1\x86Rtb.");
    let p = read(&bytes, "t", 0).unwrap();
    let Node::Array(array) = p.node(p.root()) else { panic!() };
    assert_eq!((array.shape.as_slice(), array.dtype.element), (&[1][..], Element::I16));
    assert!(matches!(p.node(array.data.unwrap()), Node::Bytes(b) if b[..] == [0xff, 0xff]));
}

#[test]
fn buffers_of_protocol_5() {
    let pickle = |order: &str| {
        let mut bytes = b"\x80\x05cnumpy._core.numeric\n_frombuffer\n(C\x02\x01\x02".to_vec();
        bytes.extend(b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x89\x88\x87RK\x02\x85X\x01\x00\x00\x00");
        bytes.extend(order.as_bytes());
        bytes.extend(b"tR.");
        bytes
    };
    let bytes = pickle("F");
    let p = read(&bytes, "t", 0).unwrap();
    assert!(matches!(p.node(p.root()), Node::Array(a) if a.fortran && a.shape == [2]));
    assert!(error(&pickle("K")).contains("permuted"));
}

/// An omegaconf-like node around an enum, as Python pickles both; nothing of it is made, and without leave it is an error.
#[test]
fn foreign_objects_are_kept_as_they_are_written() {
    let bytes = b"\x80\x02}(X\x01\x00\x00\x00aco\nNode\n)\x81}X\x04\x00\x00\x00_val(ce\nKind\ncn\nLSTM\n\x85R\
        tsbX\x01\x00\x00\x00bco\nD\n)\x81X\x01\x00\x00\x00kK\x07su.";
    let bytes: Vec<u8> = bytes.to_vec();
    assert!(error(&bytes).contains("'o.Node'"));
    let p = read_with(&bytes, "t", 0, true).unwrap();
    assert_eq!(p.json(p.root()), serde_json::json!({"a": ["LSTM"], "b": {"k": 7}}));
    // A value that holds itself ends.
    let p = read_with(b"\x80\x02]q\x00h\x00a.", "t", 0, true).unwrap();
    assert!(p.json(p.root()).is_array());
}

#[test]
fn lengths_beyond_the_file_are_refused() {
    let text = error(b"\x80\x03B\xff\xff\xff\x7fabc.");
    assert!(text.contains("only 4 are left"), "{text}");
    let text = error(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.");
    assert!(text.contains("left"), "{text}");
}

#[test]
fn bombs_are_bounded() {
    // A list that contains itself, a tuple nested a million deep, and one text encoded for ever.
    assert!(read(b"]q\x00h\x00a.", "t", 0).is_ok());
    let mut deep = b")".to_vec();
    deep.extend(std::iter::repeat_n(0x85, 1_000_000));
    deep.push(b'.');
    assert!(read(&deep, "t", 0).is_ok());
    let mut again = b"c_codecs\nencode\nq\x00X\x00\x10\x00\x00".to_vec();
    again.extend([b'a'; 4096]);
    again.extend(b"q\x01X\x06\x00\x00\x00latin1q\x02");
    for _ in 0..1000 {
        again.extend(b"h\x00h\x01h\x02\x86R");
    }
    again.push(b'.');
    let text = error(&again);
    assert!(text.contains("again and again"), "{text}");
    let endless: Vec<u8> = std::iter::repeat_n(b'N', MAX_OPCODES + 10).collect();
    assert!(error(&endless).contains("opcodes"));
}
