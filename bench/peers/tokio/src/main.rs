// main.rs: Tokio's answers: its multi-threaded runtime with as many workers as asked for, everything inside a task.
mod bench;
mod servers;

use bench::Bench;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Mutex, Semaphore};
use tokio::task::{spawn, spawn_blocking, unconstrained, yield_now, JoinHandle};
use tokio::time::{sleep, Sleep};

fn calls(n: i64) -> i64 {
    if n < 2 {
        1
    } else {
        1 + calls(n - 1) + calls(n - 2)
    }
}

fn fib(n: i64) -> JoinHandle<i64> {
    spawn(async move {
        if n < 2 {
            return n;
        }
        let left = fib(n - 1);
        let right = fib(n - 2);
        left.await.unwrap() + right.await.unwrap()
    })
}

async fn fork_join(bench: &Bench) {
    let operations = calls(bench.size);
    let start = bench.start();
    let sum = fib(bench.size).await.unwrap();
    bench.stop(start, "", operations, sum);
}

async fn fan_out(bench: &Bench) {
    const WIDTH: i64 = 10;
    let mut sum = 0;
    let mut tasks = Vec::with_capacity(WIDTH as usize);
    let start = bench.start();
    for _ in 0..bench.size {
        for i in 0..WIDTH {
            tasks.push(spawn(async move { i }));
        }
        for task in tasks.drain(..) {
            sum += task.await.unwrap();
        }
    }
    bench.stop(start, "", bench.size * WIDTH, sum);
}

fn skynet_node(number: i64, leaves: i64) -> JoinHandle<i64> {
    spawn(async move {
        if leaves == 1 {
            return number;
        }
        let mut nodes = Vec::with_capacity(10);
        for i in 0..10 {
            nodes.push(skynet_node(number + i * (leaves / 10), leaves / 10));
        }
        let mut sum = 0;
        for node in nodes {
            sum += node.await.unwrap();
        }
        sum
    })
}

async fn skynet(bench: &Bench) {
    let start = bench.start();
    let sum = skynet_node(0, bench.size).await.unwrap();
    bench.stop(start, "", bench.size, sum);
}

async fn spawn_await(bench: &Bench) {
    let suspends = bench.form == "suspends";
    let mut sum = 0;
    let start = bench.start();
    if suspends {
        for i in 0..bench.size {
            let task = spawn(async move {
                let mut parts = [0; 4];
                for (k, part) in parts.iter_mut().enumerate() {
                    *part = i * k as i64;
                }
                yield_now().await;
                parts[1] + parts[2] + parts[3] - 5 * i
            });
            sum += task.await.unwrap();
        }
    } else {
        for i in 0..bench.size {
            sum += spawn(async move { i }).await.unwrap();
        }
    }
    bench.stop(start, "", bench.size, sum);
}

async fn yields(bench: &Bench) {
    let turns = Arc::new((AtomicI64::new(0), AtomicI64::new(0)));
    let size = bench.size;
    let start = bench.start();
    let tasks: Vec<_> = (1..=2)
        .map(|me| {
            let turns = turns.clone();
            spawn(async move {
                for _ in 0..size {
                    // Plain loads and stores: one worker.
                    let changed = (turns.0.load(Relaxed) != me) as i64;
                    turns.1.store(turns.1.load(Relaxed) + changed, Relaxed);
                    turns.0.store(me, Relaxed);
                    yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    bench.stop(start, "", 2 * size, turns.1.load(Relaxed));
}

async fn ping_pong(bench: &Bench) {
    let (to, mut from_ping) = mpsc::channel(1);
    let (back, mut from_pong) = mpsc::channel(1);
    let size = bench.size;
    let start = bench.start();
    let ping = spawn(async move {
        let mut sum = 0;
        for i in 0..size {
            to.send(i).await.unwrap();
            let value = from_pong.recv().await.unwrap();
            assert_eq!(value, i + 1);
            sum += value;
        }
        sum
    });
    let pong = spawn(async move {
        for i in 0..size {
            let value: i64 = from_ping.recv().await.unwrap();
            assert_eq!(value, i);
            back.send(value + 1).await.unwrap();
        }
    });
    let sum = ping.await.unwrap();
    pong.await.unwrap();
    bench.stop(start, "", size, sum);
}

// Tokio's channel has one receiver: its 4:4 is four to one.
async fn channel(bench: &Bench) {
    let senders = if bench.form == "4:4" { 4 } else { 1 };
    let share = bench.size / senders;
    let (to, mut from) = mpsc::channel(128);
    let start = bench.start();
    for _ in 0..senders {
        let to = to.clone();
        spawn(async move {
            for i in 1..=share {
                to.send(i).await.unwrap();
            }
        });
    }
    drop(to);
    let receiver = spawn(async move {
        let mut sum = 0;
        while let Some(value) = from.recv().await {
            sum += value;
        }
        sum
    });
    let sum = receiver.await.unwrap();
    bench.stop(start, "", share * senders, sum);
}

async fn lock(bench: &Bench) {
    const TASKS: i64 = 4;
    let mutex = Arc::new(Mutex::new(0));
    let start = bench.start();
    for _ in 0..bench.size {
        *mutex.lock().await += 1;
    }
    let count = *mutex.lock().await;
    bench.stop(start, "free", bench.size, count);

    *mutex.lock().await = 0;
    let share = bench.size / TASKS;
    let start = bench.start();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let mutex = mutex.clone();
            spawn(async move {
                for _ in 0..share {
                    let mut count = mutex.lock().await;
                    let before = *count;
                    yield_now().await;
                    *count = before + 1;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let count = *mutex.lock().await;
    bench.stop(start, "handed", bench.size, count);
}

async fn alive(bench: &Bench, before_bytes: i64) {
    let print = bench.form == "snprintf";
    let gate = Arc::new(Semaphore::new(0));
    let all_here = Arc::new(Semaphore::new(0));
    let here = Arc::new(AtomicI64::new(0));
    let size = bench.size;
    let mut tasks = Vec::with_capacity(size as usize);
    let start = bench.start();
    for i in 0..size {
        let (gate, all_here, here) = (gate.clone(), all_here.clone(), here.clone());
        tasks.push(spawn(async move {
            let mut number = i;
            if print {
                let text = format!("{:.3} is a number", number as f64);
                number = text.split('.').next().unwrap().parse().unwrap();
            }
            if here.fetch_add(1, Relaxed) + 1 == size {
                all_here.add_permits(1);
            }
            gate.acquire().await.unwrap_err();
            number
        }));
    }
    all_here.acquire().await.unwrap().forget();
    let resident = bench::resident_bytes() - before_bytes;
    gate.close();
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    bench.stop(start, "", size, sum);
    bench.amount("resident", "byte", resident as f64 / size as f64, sum);
}

// A timer of Tokio's is registered when it is polled first.
struct Begin<'a>(&'a mut Pin<Box<Sleep>>);

impl Future for Begin<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        assert!(self.get_mut().0.as_mut().poll(context).is_pending());
        Poll::Ready(())
    }
}

async fn started(i: i64) -> Pin<Box<Sleep>> {
    let mut timer = Box::pin(sleep(Duration::from_secs(3600) + Duration::from_millis((i * 7919 % 1_000_000) as u64)));
    Begin(&mut timer).await;
    timer
}

async fn timers(bench: &Bench) {
    let mut count = 0;
    let start = bench.start();
    for i in 0..bench.size {
        drop(started(i).await);
        count += 1;
    }
    bench.stop(start, "restart", bench.size, count);

    let mut all = Vec::with_capacity(bench.size as usize);
    let start = bench.start();
    for i in 0..bench.size {
        all.push(started(i).await);
    }
    bench.stop(start, "create", bench.size, all.len() as i64);

    count = 0;
    let start = bench.start();
    for timer in all {
        drop(timer);
        count += 1;
    }
    bench.stop(start, "cancel", bench.size, count);
}

async fn sleepers(bench: &Bench) {
    let begun_ns = Arc::new(AtomicI64::new(0));
    let awake = Arc::new(AtomicI64::new(0));
    let epoch = Instant::now();
    let mut tasks = Vec::with_capacity(bench.size as usize);
    let start = bench.start();
    for _ in 0..bench.size {
        let (begun_ns, awake) = (begun_ns.clone(), awake.clone());
        tasks.push(spawn(async move {
            begun_ns.fetch_max(epoch.elapsed().as_nanos() as i64, Relaxed);
            sleep(Duration::from_secs(1)).await;
            awake.fetch_add(1, Relaxed);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let late_ms = (epoch.elapsed().as_nanos() as i64 - begun_ns.load(Relaxed)) as f64 / 1e6 - 1000.0;
    bench.stop(start, "", bench.size, awake.load(Relaxed));
    bench.amount("late", "ms", late_ms, awake.load(Relaxed));
}

async fn to_thread(bench: &Bench) {
    const WINDOW: usize = 1024;
    let given = Arc::new(AtomicI64::new(0));
    let size = bench.size;
    let mut users = Vec::with_capacity(WINDOW);
    let start = bench.start();
    for _ in 0..WINDOW {
        let given = given.clone();
        users.push(spawn(async move {
            let mut sum = 0;
            loop {
                let number = given.fetch_add(1, Relaxed);
                if number >= size {
                    return sum;
                }
                sum += spawn_blocking(move || number + 1).await.unwrap();
            }
        }));
    }
    let mut sum = 0;
    for user in users {
        sum += user.await.unwrap();
    }
    bench.stop(start, "", size, sum);
}

fn main() {
    let mut bench = Bench::open();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(bench.workers)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let main = async move {
        let before_bytes = bench::resident_bytes();
        for repetition in 1..=bench.repetitions {
            bench.repetition = repetition;
            match bench.question.as_str() {
                "fork_join" => fork_join(&bench).await,
                "fan_out" => fan_out(&bench).await,
                "skynet" => skynet(&bench).await,
                "spawn_await" => spawn_await(&bench).await,
                "yield" => yields(&bench).await,
                "ping_pong" => ping_pong(&bench).await,
                "channel" => channel(&bench).await,
                "lock" => lock(&bench).await,
                "alive" => alive(&bench, before_bytes).await,
                "timers" => unconstrained(timers(&bench)).await,
                "sleepers" => sleepers(&bench).await,
                "to_thread" => to_thread(&bench).await,
                "echo" => servers::echo().await,
                "http" => servers::http().await,
                other => panic!("no such question: {}", other),
            }
        }
    };
    runtime.block_on(async { spawn(main).await.unwrap() });
}
