//! castmatch-test-endpoint: the server of the tests, to try things by hand. Prints its base URL and serves until it is
//! killed. `--port P` chooses the port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use castmatch_test_endpoint::TestEndpoint;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 0,
        ["--port", port] => port.parse().expect("a port is a number from 0 to 65535"),
        _ => {
            eprintln!("usage: castmatch-test-endpoint [--port P]");
            std::process::exit(2);
        }
    };
    let endpoint = TestEndpoint::start_on(port);
    println!("{}", endpoint.url("ok"));
    loop {
        std::thread::park();
    }
}
