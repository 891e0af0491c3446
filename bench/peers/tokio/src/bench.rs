// bench.rs: what harness/bench.h is to the programs in C: arguments, clocks, the line of JSON.
use std::time::Instant;

pub struct Bench {
    pub question: String,
    pub workers: usize,
    pub size: i64,
    pub repetitions: i32,
    pub repetition: i32,
    pub form: String,
}

pub struct Start {
    cpu_ns: i64,
    wall: Instant,
}

fn cpu_ns() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

pub fn resident_bytes() -> i64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages: i64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) }
}

impl Bench {
    pub fn open() -> Bench {
        let mut words = std::env::args().skip(1);
        let question = words.next().expect("which question?");
        let mut bench =
            Bench { question, workers: 1, size: 1, repetitions: 2, repetition: 0, form: String::new() };
        while let Some(word) = words.next() {
            let value = words.next().expect("a value");
            match word.as_str() {
                "--workers" => bench.workers = value.parse().expect("a number"),
                "--size" => bench.size = value.parse().expect("a number"),
                "--repetitions" => bench.repetitions = value.parse().expect("a number"),
                "--form" => bench.form = value,
                _ => panic!("unknown: {}", word),
            }
        }
        bench
    }

    pub fn start(&self) -> Start {
        Start { cpu_ns: cpu_ns(), wall: Instant::now() }
    }

    fn begin_line(&self, cell: &str, checksum: i64) {
        print!(
            "{{\"repetition\": {}, \"cell\": \"{}\", \"checksum\": {}, \"resident_bytes\": {}, ",
            self.repetition, cell, checksum, resident_bytes()
        );
    }

    pub fn stop(&self, start: Start, cell: &str, operations: i64, checksum: i64) {
        let wall_ns = start.wall.elapsed().as_nanos();
        let cpu_ns = cpu_ns() - start.cpu_ns;
        self.begin_line(cell, checksum);
        println!("\"operations\": {}, \"wall_ns\": {}, \"cpu_ns\": {}}}", operations, wall_ns, cpu_ns);
    }

    pub fn amount(&self, cell: &str, unit: &str, value: f64, checksum: i64) {
        self.begin_line(cell, checksum);
        println!("\"unit\": \"{}\", \"amount\": {}}}", unit, value);
    }
}
