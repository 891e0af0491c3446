// servers.rs: Tokio's servers: a task for each connection with a timeout on each read, and hyper. They print their port and
// serve until they are killed.
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Request, Response, Server};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn serve(mut connection: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    connection.set_nodelay(true)?;
    loop {
        let got = timeout(Duration::from_secs(30), connection.read(&mut buffer)).await??;
        if got == 0 {
            return Ok(());
        }
        connection.write_all(&buffer[..got]).await?;
    }
}

pub async fn echo() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{{\"port\": {}}}", listener.local_addr().unwrap().port());
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(connection));
    }
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("Hello, world!"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

pub async fn http() {
    let service = make_service_fn(|_| async { Ok::<_, Infallible>(service_fn(answer)) });
    let server = Server::bind(&([127, 0, 0, 1], 0).into())
        .tcp_nodelay(true)
        .http1_pipeline_flush(true)
        .serve(service);
    println!("{{\"port\": {}}}", server.local_addr().port());
    server.await.unwrap();
}
