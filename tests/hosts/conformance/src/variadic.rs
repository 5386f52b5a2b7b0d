//! Variadic calls, received. Stable Rust can call C's variadic functions but not define them. On Linux's ABIs for
//! x86-64 and AArch64 a variadic argument travels as a named one would: whole numbers and addresses in one row of
//! registers, floating-point numbers in another, each row going on on the stack. A function that names enough of both
//! therefore receives any call; those that the caller did not pass hold rubbish and must not be looked at.

use std::ffi::{CStr, c_char};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("variadic calls are received on x86-64 and AArch64 only: see variadic.rs");

/// Writes a message as `printf` would: `%d i u x X c s p f e g %`, with flags, width and precision; length modifiers
/// are read and, as every argument fills a register, not needed.
///
/// # Safety
/// `format` is a C string; `ints` and `doubles` hold the arguments that it names, in order.
pub unsafe fn print(format: &CStr, ints: &[u64], doubles: &[f64]) -> String {
    let (mut ints, mut doubles) = (ints.iter().copied(), doubles.iter().copied());
    let bytes = format.to_string_lossy();
    let mut out = String::new();
    let mut rest = bytes.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = String::new();
        while let Some(&c) = rest.peek()
            && (c.is_ascii_digit() || "+- #.*lhzjtqL".contains(c))
        {
            spec.push(c);
            rest.next();
        }
        let long = spec.contains(['l', 'z', 'j', 't', 'q']);
        let precision = spec
            .split_once('.')
            .and_then(|(_, p)| p.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().ok());
        let mut int = || ints.next().unwrap_or(0);
        let text = match rest.next() {
            Some('%') | None => "%".to_owned(),
            Some('d' | 'i') if long => (int() as i64).to_string(),
            Some('d' | 'i') => (int() as i32).to_string(),
            Some('u') if long => int().to_string(),
            Some('u') => (int() as u32).to_string(),
            Some('x') => format!("{:x}", if long { int() } else { u64::from(int() as u32) }),
            Some('X') => format!("{:X}", if long { int() } else { u64::from(int() as u32) }),
            Some('c') => char::from(int() as u8).to_string(),
            Some('p') => format!("{:#x}", int()),
            Some('s') => match int() as *const c_char {
                at if at.is_null() => "(null)".to_owned(),
                // SAFETY: the caller's: the argument of `%s` is a C string.
                at => unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned(),
            },
            Some('f' | 'F' | 'e' | 'E' | 'g' | 'G') => {
                let value = doubles.next().unwrap_or(0.0);
                format!("{value:.*}", precision.unwrap_or(6))
            }
            Some(other) => format!("%{other}"),
        };
        let width: String =
            spec.trim_start_matches(['-', '+', ' ', '#', '0']).chars().take_while(char::is_ascii_digit).collect();
        let width = width.parse::<usize>().unwrap_or(0);
        out += &if spec.starts_with('-') { format!("{text:<width$}") } else { format!("{text:>width$}") };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::print;

    #[test]
    fn prints_what_a_message_names() {
        let ints = [c"Source".as_ptr() as u64, -3_i32 as u32 as u64, 255, 1 << 40];
        // SAFETY: the arguments are those of the format.
        let text = unsafe { print(c"%s: %d of %5x, %ld, %.2f%%", &ints, &[12.345]) };
        assert_eq!(text, "Source: -3 of    ff, 1099511627776, 12.35%");
    }
}
