/* eddy/net.h: streams (TCP, Unix sockets, pipes, terminals), servers, name look-up.
 *
 * A stream is one TCP connection. It belongs to one worker (its home): the one that accepted or connected it.
 * Any task may use it: from a task on another worker each call travels to the home and back, and the calls of
 * one task arrive in their order. Streams are counted; most programs have one owner and never share.
 *
 * Reading: one reader at a time. A read that is cancelled consumed nothing. Writing: bytes are copied into the
 * stream's output buffer and go out together: when a read of the stream is about to wait, when its worker is
 * about to ask the system for events, when enough have gathered, and by eddy_stream_drain. Who writes without
 * end must drain: it waits while the peer is slow.
 *
 * Limits: 64 KiB for what a read_until may look through, 64 KiB of output before drain waits (until a quarter
 * of that is left). An idle stream holds no buffers.
 *
 * A connection that broke gives its system code (ECONNRESET, EPIPE, ETIMEDOUT) to reads, writes and drains;
 * one that was closed on this side gives EDDY_ECLOSED; one of another runtime EDDY_ESTATE. SIGPIPE is never raised. */
#ifndef EDDY_NET_H
#define EDDY_NET_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "eddy/base.h"

EDDY_BEGIN_DECLS

typedef struct eddy_stream eddy_stream;
typedef struct eddy_server eddy_server;
typedef struct eddy_tls eddy_tls; /**< eddy/tls.h */
typedef struct eddy_addresses eddy_addresses;

/* ---- addresses and names ---------------------------------------------------------------------- */

/** A socket address: what the system's calls take. */
typedef struct eddy_address {
    struct sockaddr_storage storage;
    socklen_t bytes; /**< of storage that are meant */
} eddy_address;

/** Writes "127.0.0.1:80" or "[::1]:80" as snprintf does. @return bytes of the whole text without its NUL. */
EDDY_API size_t eddy_address_text(const eddy_address *address, char *buffer, size_t bytes) EDDY_ANY_THREAD;

/** Looks up the names that belong to an address, as getnameinfo(3) does.
 *
 *  @param address  Borrowed.
 *  @param flags    NI_NUMERICHOST, NI_NUMERICSERV, NI_NAMEREQD, NI_NOFQDN, NI_DGRAM of <netdb.h>, or 0: a name where there is
 *                  one, else the number.
 *  @param host     The host's name is written here, ended by a NUL; 1025 bytes are enough for all. NULL: not wanted.
 *  @param service  The same of the port; 32 bytes are enough.
 *  @return         0; EAI_NONAME with NI_NAMEREQD, EAI_FAMILY, EAI_OVERFLOW (a buffer is too small), EAI_AGAIN, ... with a
 *                  text that names the address; EDDY_EINVAL: both are NULL; EDDY_ENOMEM; EDDY_ECANCELED;
 *                  EDDY_EWRONGTHREAD outside a task. Nothing is to be read from the buffers unless it is 0.
 *
 *  Suspends, threads of the resolver, cancellation: as eddy_resolve; with both NI_NUMERIC flags it does not suspend.
 *  eddy_address_text gives both numbers from anywhere.  Source: loop.getnameinfo. */
EDDY_API int eddy_address_name(const eddy_address *address, int flags, char *host, size_t host_bytes, char *service,
                               size_t service_bytes) EDDY_SUSPENDS;

/** Looks up the TCP addresses of a name.
 *
 *  @param host           A name or a numeric address; NULL: the addresses to listen on everywhere.
 *  @param service        A port number or a service's name; NULL: port 0.
 *  @param family         AF_INET, AF_INET6, or 0 for both.
 *  @param addresses_out  Gives a list with one address or more: eddy_addresses_release().
 *  @return               0; the look-up's failure with its text in the detail (status names EAI_NONAME,
 *                        EAI_AGAIN, ...); EDDY_ENOMEM; EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task.
 *
 *  Suspends: unless both are numeric. The system's resolver runs in threads of the library's own (at most 4),
 *  so no loop ever waits for it.
 *  Cancellation point: when it suspends; the look-up is abandoned and touches nothing of the caller's.
 *  Threads: any task.  Source: loop.getaddrinfo. */
EDDY_API int eddy_resolve(const char *host, const char *service, int family,
                          eddy_addresses **addresses_out) EDDY_SUSPENDS;

EDDY_API size_t eddy_addresses_count(const eddy_addresses *addresses) EDDY_ANY_THREAD;
/** Borrowed: valid until the list is released. `index` below the count. In the resolver's order. */
EDDY_API const eddy_address *eddy_addresses_get(const eddy_addresses *addresses, size_t index) EDDY_ANY_THREAD;
EDDY_API void eddy_addresses_release(eddy_addresses *addresses) EDDY_ANY_THREAD; /**< NULL is nothing */

/* ---- streams ---------------------------------------------------------------------------------- */

typedef struct eddy_connect_options {
    size_t size;             /**< sizeof(eddy_connect_options): by EDDY_CONNECT or eddy_connect_options_init */
    int family;              /**< AF_INET, AF_INET6, or 0 for both */
    size_t limit_bytes;      /**< how far eddy_stream_read_until looks by default; 0: 64 KiB */
    size_t high_bytes;       /**< output buffered before drain waits, a quarter ends the wait; 0: 64 KiB */
    eddy_tls *tls;           /**< a client's: eddy_stream_start_tls follows; NULL: none. Borrowed */
    const char *server_name; /**< with tls: whose certificate is expected; NULL: the host's */
    int64_t stagger_ns;      /**< an address that has not answered for so long is joined by the next; 0: 250 ms;  *
                              *   EDDY_FOREVER: one after the other */
} eddy_connect_options;

static inline eddy_connect_options eddy_connect_options_init(void) {
    eddy_connect_options options = {sizeof(eddy_connect_options), 0, 0, 0, NULL, NULL, 0};
    return options;
}
#ifndef __cplusplus
#define EDDY_CONNECT(...) (&(eddy_connect_options){.size = sizeof(eddy_connect_options), __VA_ARGS__})
#endif

/** Looks `host` up and connects to the first of its addresses that answers: they are tried in the resolver's order,
 *  IPv6 and IPv4 in turn, the next one when the last has failed or has not answered for options.stagger_ns.
 *
 *  @param stream_out  Gives one reference: eddy_stream_close(), then eddy_stream_release().
 *  @param options     May be NULL. Borrowed.
 *  @return            0; the last address's failure (ECONNREFUSED, ...) or the look-up's, with a text that
 *                     names host and port; with tls also as eddy_stream_start_tls; EDDY_ENOMEM; EDDY_ECANCELED;
 *                     EDDY_EWRONGTHREAD outside a task.
 *
 *  Suspends: usually. Cancellation point: when it suspends; the attempt's socket is closed.
 *  Threads: any task; the stream's home is the task's worker. Nagle's algorithm is off.
 *  Source: asyncio.open_connection; RFC 8305 (Happy Eyeballs). */
EDDY_API int eddy_connect(eddy_stream **stream_out, const char *host, uint16_t port,
                          const eddy_connect_options *options) EDDY_SUSPENDS;

/** Connects to a Unix socket.
 *
 *  @param path  At most 107 bytes; "@name" is an abstract one, which has no file.
 *  @return      as eddy_connect: ENOENT, ECONNREFUSED, EACCES... with a text that names the path; EDDY_EINVAL: too long.
 *
 *  Suspends: while the server's queue is full, and for TLS. Otherwise as eddy_connect; with tls name the server.
 *  Source: asyncio.open_unix_connection. */
EDDY_API int eddy_connect_unix(eddy_stream **stream_out, const char *path,
                               const eddy_connect_options *options) EDDY_SUSPENDS;

/** Makes a stream of an open descriptor: a connected socket (TCP, Unix), a pipe's end, a terminal, a device that can be
 *  polled.
 *
 *  @param stream_out  Gives one reference, with the default limits.
 *  @param fd          Taken if 0 is returned: the stream closes it. Otherwise it is the caller's still, and as it was.
 *                     It becomes close-on-exec, and non-blocking for everybody who has it by inheritance too; a terminal
 *                     is opened again instead, and this one closed, so that it stays as it was for others.
 *  @return            0; EDDY_EINVAL for a file or a socket of another kind; EPERM for a device that cannot be polled;
 *                     EBADF, ENOTCONN; EDDY_ENOMEM; EDDY_ENOTSUP in a simulation; EDDY_EWRONGTHREAD outside a task.
 *
 *  Never suspends. Threads: any task; the stream's home is the task's worker. A pipe's end goes one way: the other one
 *  gives EBADF. It has no half close: eddy_stream_shutdown_write is EDDY_ENOTSUP, close it instead. No SIGPIPE is
 *  raised. Source: loop.connect_read_pipe, connect_write_pipe, connect_accepted_socket. */
EDDY_API int eddy_stream_open_fd(eddy_stream **stream_out, int fd);

/** Makes the calling task's worker the stream's home: its socket is polled here from now on, and calls of this worker's tasks
 *  need no way to another one. What was read ahead, what waits in the output buffer and TLS come along; timeouts belong to
 *  tasks and stay with them.
 *
 *  @return  0, also if it is at home here; EDDY_EBUSY: a task is inside a call of this stream, or a write or close of another
 *           worker's task is on its way to it; EDDY_ECLOSED after close or abort; EMFILE (a descriptor more is needed for a
 *           moment); EDDY_ENOMEM; EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task. Then it is where it was.
 *
 *  Suspends: unless it is at home here. Cancellation point: when it suspends.  Threads: any task, several at once: the last
 *  one that succeeds has it. A server's connection may be adopted too; its handler's task stays where it is, and ends as
 *  before.  Source: the hand-over of handles between loops that libuv leaves to its users. */
EDDY_API int eddy_stream_adopt(eddy_stream *stream) EDDY_SUSPENDS;

/** Shares: one reference more, for a task that may use the stream after its owner is done with it (it then
 *  gets EDDY_ECLOSED). Any thread. */
EDDY_API eddy_stream *eddy_stream_share(eddy_stream *stream) EDDY_ANY_THREAD;
/** Gives a reference back; NULL is nothing. The last one closes the stream: what is buffered is still sent
 *  by the loop if the peer takes it before the run ends. Never suspends; any thread. */
EDDY_API void eddy_stream_release(eddy_stream *stream) EDDY_ANY_THREAD;

/** Reads what is there, at least one byte, at most `bytes`.
 *
 *  @param buffer  Borrowed. Written only when more than 0 is returned.
 *  @param bytes   At most INT_MAX; 0 gives 0 at once.
 *  @return        Bytes read; EDDY_EOF at the end of the peer's data, again and again; EDDY_ECLOSED when this
 *                 side closes or closed it; EDDY_EBUSY while another task reads; the connection's failure;
 *                 EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task.
 *
 *  Suspends: unless data is there. Cancellation point: when it suspends; nothing is consumed then.
 *  Threads: any task.  Source: StreamReader.read(n). */
EDDY_API int eddy_stream_read(eddy_stream *stream, void *buffer, size_t bytes) EDDY_SUSPENDS;

/** Reads exactly `bytes`.
 *
 *  @param buffer   Borrowed: written only when 0 or EDDY_EINCOMPLETE is returned.
 *  @param got_out  May be NULL. Bytes that are in `buffer`: all, or those before the end, or 0.
 *  @return         0; EDDY_EINCOMPLETE if the data ended before (what there was is in `buffer`); EDDY_EOF if there
 *                  was none (asyncio has one error for both); otherwise as eddy_stream_read; EDDY_ENOMEM (nothing was consumed).
 *
 *  Suspends, cancellation point, threads: as eddy_stream_read. What came before a cancel stays in the stream.
 *  Cost: the bytes gather in the stream's own buffer first.  Source: StreamReader.readexactly. */
EDDY_API int eddy_stream_read_exactly(eddy_stream *stream, void *buffer, size_t bytes, size_t *got_out) EDDY_SUSPENDS;

/** Reads up to and including `separator`.
 *
 *  @param separator        1 byte or more, borrowed.
 *  @param limit_bytes      The separator must end within so many bytes; 0: the stream's limit.
 *  @param line_out         Points into the stream's own buffer, not ended by a NUL: valid until the next call
 *                          that reads from the stream, or its close. Written with bytes_out when 0 or
 *                          EDDY_EINCOMPLETE is returned.
 *  @return                 0; EDDY_EINCOMPLETE if the data ended before: `line` is what there was; EDDY_EOF if
 *                          there was nothing; EDDY_ELIMIT if there is no separator within the limit: the data is kept, and
 *                          eddy_stream_read gets it; EDDY_EINVAL for an empty separator; otherwise as
 *                          eddy_stream_read_exactly.
 *
 *  Suspends, cancellation point, threads: as eddy_stream_read.  Source: StreamReader.readuntil. */
EDDY_API int eddy_stream_read_until(eddy_stream *stream, const void *separator, size_t separator_bytes,
                                    size_t limit_bytes, const char **line_out, size_t *bytes_out) EDDY_SUSPENDS;

/** Appends `bytes` of `data` to what goes out, in the order of the calls.
 *
 *  @param data  Borrowed: sent or copied.
 *  @return      0: accepted, not: arrived. EDDY_ECLOSED after close or shutdown_write; the connection's failure
 *               once it is known; EDDY_ENOMEM (nothing of `data` will be sent); EDDY_EWRONGTHREAD outside the
 *               runtime. From another worker than the home only 0, EDDY_ENOMEM and EDDY_ECLOSED are known at
 *               once; drain gives the rest.
 *
 *  Suspends: never.  Threads: a task or callback of the runtime.  Source: StreamWriter.write. */
EDDY_API int eddy_stream_write(eddy_stream *stream, const void *data, size_t bytes);

/** Appends `count` pieces to what goes out, as one write of all of them: nothing comes between them, and they leave in one
 *  call of the system as far as that takes them (up to 64 in a call).
 *
 *  @param parts  Borrowed, with what they point to: sent or copied. Empty ones are legal, `count` 0 too.
 *  @return       as eddy_stream_write; EDDY_ENOMEM: nothing of any of them will be sent.
 *
 *  Suspends: never.  Threads: a task or callback of the runtime.  Source: StreamWriter.writelines; writev(2). */
EDDY_API int eddy_stream_writev(eddy_stream *stream, const struct iovec *parts, size_t count);

/** Sends a file's bytes, behind what was written before. The system moves them without a copy where it can (sendfile); over
 *  TLS, and for files that it does not do that for, they are read and written in pieces.
 *
 *  @param fd        An open file (eddy_file_fd gives one's), borrowed. Its position is neither used nor moved.
 *  @param offset    Where to begin.
 *  @param bytes     How many; INT64_MAX: to the file's end, which also ends it earlier.
 *  @param sent_out  May be NULL. Written whatever is returned: bytes of the file that were sent or will be, so that a
 *                   cancelled call can be gone on with at offset + *sent_out.
 *  @return          0: all `bytes`, or to the end; the file's failure (EBADF, EIO, EISDIR, ESPIPE): the stream goes on;
 *                   the connection's; EDDY_ECLOSED after close, shutdown_write or an abort; EDDY_EBUSY while another task
 *                   sends a file or descriptors; EDDY_EINVAL; EDDY_ENOMEM; EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task.
 *
 *  What other tasks write meanwhile goes out behind it, and so do shutdown_write and close.
 *  Suspends: while the socket takes no more. Cancellation point: when it suspends. Threads: any task.
 *  The file is read on the stream's worker: what is not in the page cache holds its loop for as long as the disk takes,
 *  256 KiB at a time. Where that is too long, read by eddy_file_read and write. A file that changes meanwhile is sent as
 *  it is when it leaves.  Source: loop.sendfile; sendfile(2). */
EDDY_API int eddy_stream_send_file(eddy_stream *stream, int fd, int64_t offset, int64_t bytes,
                                   int64_t *sent_out) EDDY_SUSPENDS;

/** Sends open descriptors over a Unix socket, beside `data`: the peer gets them with its first byte.
 *
 *  @param data   Borrowed; 1 byte or more: descriptors do not travel alone.
 *  @param fds    Borrowed: the peer gets duplicates. They may be closed when 0 is returned.
 *  @param count  At most 253 (the system's limit); 0 is a write.
 *  @return       0: all descriptors are with the system, and `data` is sent or in the output buffer; a negative one: nothing
 *                of either. EDDY_EINVAL; EBADF: one is not open; ETOOMANYREFS: too many are on their way; EDDY_ENOTSUP: not
 *                a Unix socket, or a simulation; EDDY_ESTATE over TLS; otherwise as eddy_stream_send_file.
 *
 *  Goes out behind what was written before, and before what is written meanwhile.
 *  Suspends: while the socket takes no more. Cancellation point: when it suspends; nothing was sent then.
 *  Threads: any task.  Source: sendmsg(2) with SCM_RIGHTS; socket.send_fds; libuv's uv_write2. */
EDDY_API int eddy_stream_send_fds(eddy_stream *stream, const void *data, size_t bytes, const int *fds,
                                  size_t count) EDDY_SUSPENDS;

/** From now on the stream, of a Unix socket, receives descriptors that come with its bytes; without it they are closed by the
 *  system as the bytes are read. Call it before the first read.
 *
 *  @param most  1 to 65536: so many wait to be taken; those that find no room, or no free descriptor in this process, are
 *               closed, and eddy_stream_take_fd tells it in their place.
 *  @return      0; EDDY_EINVAL; EDDY_ENOTSUP: not a Unix socket, or a simulation; EDDY_ESTATE: it does so already, or has
 *               TLS; EDDY_ECLOSED; the connection's failure; EDDY_ENOMEM; EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task.
 *  Suspends: on another worker than the home. Cancellation point: when it suspends. Threads: any task. */
EDDY_API int eddy_stream_accept_fds(eddy_stream *stream, size_t most) EDDY_SUSPENDS;

/** Takes the oldest descriptor that has come. A descriptor is there when the byte that it came with has been read, or sooner,
 *  since streams read ahead: which message has how many the program's protocol says. Those that nobody takes are closed when
 *  the last reference to the stream is given back.
 *
 *  @param fd_out  Gives it, close-on-exec: close(2), eddy_stream_open_fd. Written when 0 is returned.
 *  @return        0; EAGAIN: none is there; EDDY_ELIMIT: here one or more were lost, see eddy_stream_accept_fds; EDDY_ESTATE
 *                 without that call; EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task. Legal on a closed stream.
 *  Suspends: on another worker than the home. Cancellation point: when it suspends; none was taken. Threads: any task. */
EDDY_API int eddy_stream_take_fd(eddy_stream *stream, int *fd_out) EDDY_SUSPENDS;

/** From now on eddy_stream_drain waits while more than `high_bytes` wait in the output buffer, until `low_bytes` or less do.
 *  0 and 0: until all is with the system. A stream begins with its options' high mark, or 64 KiB, and a quarter of it.
 *  @return 0; EDDY_EINVAL: low is above high; EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task.
 *  Suspends: on another worker than the home. Cancellation point: when it suspends. Threads: any task.
 *  Source: WriteTransport.set_write_buffer_limits. */
EDDY_API int eddy_stream_set_water_marks(eddy_stream *stream, size_t high_bytes, size_t low_bytes) EDDY_SUSPENDS;

/** Sends what is buffered, and waits while more than the high-water mark is left, until a quarter
 *  of it is (eddy_stream_set_water_marks).
 *  @return 0; the connection's failure (also one that only reading has shown); EDDY_ECLOSED; EDDY_ECANCELED;
 *          EDDY_EWRONGTHREAD outside a task.
 *  Suspends: while the peer is slow. Cancellation point: when it suspends; what is buffered is sent anyway.
 *  Threads: any task, any number at once.  Source: StreamWriter.drain. */
EDDY_API int eddy_stream_drain(eddy_stream *stream) EDDY_SUSPENDS;

/** Bytes that wait in the output buffer. On another worker than the home: a snapshot. */
EDDY_API size_t eddy_stream_buffered(const eddy_stream *stream) EDDY_ANY_THREAD;

/** Says that nothing more will be written: the peer reads what is buffered, then the end. Reading goes on.
 *  @return as eddy_stream_write. Never suspends.  Source: StreamWriter.write_eof. */
EDDY_API int eddy_stream_shutdown_write(eddy_stream *stream);

/** Sends what is buffered, then closes. Reads and writes give EDDY_ECLOSED from now on, a waiting reader too.
 *  @return 0; the connection's failure: perhaps not all was sent; EDDY_ECLOSED after an abort; EDDY_ECANCELED or
 *          EDDY_ENOMEM: it goes on closing by itself. Closing twice is legal: the second call waits too.
 *  Suspends: until all is sent. Cancellation point: when it suspends. Threads: any task. The handle is still to
 *  be released.  Source: StreamWriter.close + wait_closed. */
EDDY_API int eddy_stream_close(eddy_stream *stream) EDDY_SUSPENDS;

/** Closes at once: what is buffered is dropped, and the peer sees a reset. Whoever waits gets EDDY_ECLOSED.
 *  Never suspends; any thread; legal on a closed stream.  Source: transport.abort. */
EDDY_API void eddy_stream_abort(eddy_stream *stream) EDDY_ANY_THREAD;

/** Writes the peer's or the own address as eddy_address_text does; "" if it was not to be had. */
EDDY_API size_t eddy_stream_peer(const eddy_stream *stream, char *buffer, size_t bytes) EDDY_ANY_THREAD;
EDDY_API size_t eddy_stream_local(const eddy_stream *stream, char *buffer, size_t bytes) EDDY_ANY_THREAD;

/* ---- servers ---------------------------------------------------------------------------------- */

/** Serves one connection: runs as a task of its own on the worker that accepted it. `stream` is borrowed; when
 *  the function returns the stream is closed as eddy_stream_close does (for at most options.linger_ns).
 *  @return 0 or more; a negative status goes to the exception handler, except what only says that the
 *          connection or the task ended: EDDY_EOF, EDDY_EINCOMPLETE, EDDY_ETRUNCATED, EDDY_ECLOSED, EDDY_ECANCELED,
 *          ECONNRESET, EPIPE. */
typedef int (*eddy_connection_fn)(eddy_stream *stream, void *arg);
/** Declares one whose body has the in-task role (base.h): static EDDY_CONNECTION(echo) { ... return 0; } */
#define EDDY_CONNECTION(name) int EDDY_SUSPENDS name(eddy_stream *stream, void *arg)

typedef struct eddy_server_options {
    size_t size;            /**< sizeof(eddy_server_options): by EDDY_SERVER or eddy_server_options_init */
    const char *name;       /**< of the connections' tasks, copied; NULL: "connection" */
    int family;             /**< AF_INET, AF_INET6, or 0: what the host's first address is */
    int backlog;            /**< connections the system queues for each worker; 0: 1024 */
    size_t connections_max; /**< served at a time; more wait in the system's queue. 0: no limit */
    size_t limit_bytes;     /**< of the streams: as in eddy_connect_options */
    size_t high_bytes;      /**< of the streams: as in eddy_connect_options */
    int64_t linger_ns;      /**< how long a connection may take to send its last bytes after its handler has  *
                             *   returned; 0: 30 s */
    bool single_listener;   /**< one listener, connections handed to the workers in turn (otherwise one       *
                             *   listener per worker, chosen by the system; this is then the fallback) */
    size_t stack_bytes;     /**< of the connections' tasks: as in eddy_task_options */
    eddy_tls *tls;          /**< a server's: each connection begins with eddy_stream_start_tls; its handler runs   *
                             *   only if that gave 0. Borrowed as `arg` is; NULL: none */
} eddy_server_options;

static inline eddy_server_options eddy_server_options_init(void) {
    eddy_server_options options = {sizeof(eddy_server_options), NULL, 0, 0, 0, 0, 0, 0, false, 0, NULL};
    return options;
}
#ifndef __cplusplus
#define EDDY_SERVER(...) (&(eddy_server_options){.size = sizeof(eddy_server_options), __VA_ARGS__})
#endif

/** Listens on every worker, and runs `handler(stream, arg)` as a task for each connection.
 *
 *  @param server_out  Gives one reference: eddy_server_close(), then eddy_server_release().
 *  @param host        A name or numeric address of this machine; NULL: all of its addresses.
 *  @param port        0: a free one, the same on all workers: eddy_server_port().
 *  @param arg         Borrowed until eddy_server_wait_closed() has returned 0, or the run ends.
 *  @param options     May be NULL. Borrowed.
 *  @return            0; EADDRINUSE, EACCES, EADDRNOTAVAIL... with a text that names host and port; the
 *                     look-up's failure; EDDY_ENOMEM; EDDY_EINVAL; EDDY_ECANCELED; EDDY_EWRONGTHREAD outside
 *                     a task. On failure nothing listens.
 *
 *  Suspends: until every worker listens. Cancellation point: when it suspends. Threads: any task.
 *  When descriptors run out, connections wait in the system's queue and are served when there is room again;
 *  one for which no memory is left is closed. eddy_server_refused() counts these occasions.
 *  In a serial domain there is one listener, and the handlers run in the domain.
 *  Source: asyncio.start_server. */
EDDY_API int eddy_server_open(eddy_server **server_out, const char *host, uint16_t port, eddy_connection_fn handler,
                              void *arg, const eddy_server_options *options) EDDY_SUSPENDS;

/** Listens on a Unix socket, one listener that hands connections to the workers in turn. `path` as for eddy_connect_unix: a
 *  socket there that no process listens on any more is replaced (EADDRINUSE if one does); the file is removed when the
 *  server closes. Who may connect is who may write to the file: mind the umask. Otherwise as eddy_server_open.
 *  eddy_server_port is 0.  Source: asyncio.start_unix_server. */
EDDY_API int eddy_server_open_unix(eddy_server **server_out, const char *path, eddy_connection_fn handler, void *arg,
                                   const eddy_server_options *options) EDDY_SUSPENDS;

/** Listens on a socket that the program has: bound, or listening already; TCP or Unix. From a service manager that passes it,
 *  from the parent process, or from the process whose place this one takes (eddy_stream_take_fd): a server is replaced
 *  without a moment in which nobody listens, if the next one opens the socket before this one closes.
 *
 *  @param fd  Taken if 0 is returned: the server closes it. Otherwise it is the caller's still. Non-blocking from now on, for
 *             everybody who has it.
 *  @return    Also EBADF, ENOTSOCK, EOPNOTSUPP (no stream socket), EDDY_EINVAL (it is connected), with a text that names the
 *             descriptor; EDDY_ENOTSUP in a simulation. Otherwise as eddy_server_open.
 *
 *  One listener that hands connections to the workers in turn. Closing the server accepts what the socket's queue holds
 *  then, and lets go of the socket without shutting it: what comes later is served by those who have it too, and reset
 *  if nobody has. The path of a Unix socket stays.  Source: asyncio.start_server(sock=...), sd_listen_fds(3). */
EDDY_API int eddy_server_open_fd(eddy_server **server_out, int fd, eddy_connection_fn handler, void *arg,
                                 const eddy_server_options *options) EDDY_SUSPENDS;

EDDY_API eddy_server *eddy_server_share(eddy_server *server) EDDY_ANY_THREAD;
/** Gives a reference back; NULL is nothing. The last one closes the server as eddy_server_close does. */
EDDY_API void eddy_server_release(eddy_server *server) EDDY_ANY_THREAD;

/** The port it listens on. Valid also after close. */
EDDY_API uint16_t eddy_server_port(const eddy_server *server) EDDY_ANY_THREAD;
/** Connections whose handlers have not ended. A snapshot. */
EDDY_API size_t eddy_server_connections(const eddy_server *server) EDDY_ANY_THREAD;
/** How often a connection had to wait or was closed because descriptors or memory had run out. */
EDDY_API uint64_t eddy_server_refused(const eddy_server *server) EDDY_ANY_THREAD;
/** Connections that were closed because their TLS handshake failed: any scanner of ports makes some, so they are no
 *  reports. */
EDDY_API uint64_t eddy_server_handshakes_failed(const eddy_server *server) EDDY_ANY_THREAD;

/** Stops listening. Connections that the system has queued are accepted and served, none is reset; those that
 *  are served go on. Legal twice. Never suspends; any thread.  Source: Server.close. */
EDDY_API void eddy_server_close(eddy_server *server) EDDY_ANY_THREAD;

/** Waits until the server is closed, nothing listens any more and every handler has ended.
 *  @return 0, EDDY_ECANCELED (nothing is cancelled with it), EDDY_EWRONGTHREAD outside a task.
 *  Suspends: unless that is so. Cancellation point: when it suspends. Source: Server.wait_closed. */
EDDY_API int eddy_server_wait_closed(eddy_server *server) EDDY_SUSPENDS;

/** Ends the input of every connection: reads give what has been received, then EDDY_EOF, as if the peer had
 *  said that it will send no more. Handlers that answer requests so finish those in flight and return. Applies
 *  to connections accepted later too. Never suspends; any thread. */
EDDY_API void eddy_server_finish_clients(eddy_server *server) EDDY_ANY_THREAD;
/** Begins to close every connection as eddy_stream_close does, those accepted later too. Handlers run on and get
 *  EDDY_ECLOSED from their streams. Never suspends; any thread.  Source: Server.close_clients. */
EDDY_API void eddy_server_close_clients(eddy_server *server) EDDY_ANY_THREAD;
/** Aborts every connection as eddy_stream_abort does; otherwise as eddy_server_close_clients.
 *  Source: Server.abort_clients. */
EDDY_API void eddy_server_abort_clients(eddy_server *server) EDDY_ANY_THREAD;

/** A graceful end with a deadline: closes the server, finishes its clients, waits for at most `grace_ns` for the
 *  handlers; then aborts the connections, cancels the handlers and waits for their end.
 *  @return 0 if all ended in time, EDDY_ETIMEDOUT if some had to be cancelled, EDDY_ECANCELED (the server is
 *          closed, connections go on).
 *  Suspends. Cancellation point: when it suspends. Threads: any task that is not a handler of this server. */
EDDY_API int eddy_server_shutdown(eddy_server *server, int64_t grace_ns) EDDY_SUSPENDS;

/* ---- descriptors as they are ------------------------------------------------------------------- */

typedef struct eddy_watch eddy_watch;

/** Watches a descriptor that the program reads and writes by itself: a library's socket, an eventfd, a netlink socket.
 *
 *  @param watch_out  Gives it: eddy_watch_close().
 *  @param fd         Borrowed until then, and non-blocking from now on. A watch polls a duplicate.
 *  @return           0; EPERM for what cannot be polled (files); EBADF; EDDY_ENOMEM; EDDY_ENOTSUP in a simulation;
 *                    EDDY_EWRONGTHREAD outside a task.
 *  Never suspends.  Threads: any task; its worker polls.  Source: loop.add_reader, add_writer. */
EDDY_API int eddy_watch_open(eddy_watch **watch_out, int fd);

/** Waits until the descriptor may be readable, or may be writable. A hint: make the system call next, and wait again when
 *  it gives EAGAIN; do not wait before it has.
 *  @return 0; EDDY_EBUSY while another task waits for the same; EDDY_ECLOSED when the watch is closed meanwhile;
 *          EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task.
 *  Suspends: unless it came already. Cancellation point: when it suspends.  Threads: any task. */
EDDY_API int eddy_watch_readable(eddy_watch *watch) EDDY_SUSPENDS;
EDDY_API int eddy_watch_writable(eddy_watch *watch) EDDY_SUSPENDS;

/** Takes the watch back, not the descriptor: tasks that wait get EDDY_ECLOSED. NULL is nothing. Never suspends; any
 *  thread. One that is left open when the run ends is reported. */
EDDY_API void eddy_watch_close(eddy_watch *watch) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
