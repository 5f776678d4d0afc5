//! The programs. Data; the steps are elsewhere.

use super::program::{Client, Fix, Probe, Program};

/// All of them.
pub(crate) const PROGRAMS: [Program; 4] = [REDIS, NGINX, ZLIB, SQLITE];

const REDIS: Program = Program {
    name: "redis",
    packages: &["gcc", "make", "pkg-config"],
    build: "make -j2 MALLOC=libc BUILD_TLS=no USE_SYSTEMD=no OPTIMIZATION=-O2",
    binary: "src/redis-server",
    client: None,
    start: &[
        "BINARY",
        "--port",
        "36379",
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ],
    files: &[],
    // What is pushed is popped: the memory that it takes does not grow.
    load: &[
        "SOURCE/src/redis-benchmark",
        "-p",
        "36379",
        "-q",
        "-l",
        "-c",
        "20",
        "-t",
        "set,get,incr,lpush,lpop,sadd,hset,zadd,zpopmin,mset",
        "-n",
        "20000",
    ],
    probe: Probe {
        request: "PING\r\n",
        begin: "+PONG",
        end: "PONG\r\n",
    },
    fixes: &[
        Fix::Debian("0001-Fix-LUA-garbage-collector-CVE-2024-46981-1513.patch"),
        Fix::Debian("0002-Fix-Read-Write-key-pattern-selector-CVE-2024-51741-1.patch"),
        Fix::Debian("0006-CVE-2025-32023.patch"),
        Fix::Debian("CVE-2026-23631.patch"),
        Fix::Debian("CVE-2026-66373.patch"),
    ],
};

const NGINX: Program = Program {
    name: "nginx",
    packages: &[
        "gcc",
        "make",
        "libpcre2-dev",
        "zlib1g-dev",
        "libssl-dev",
        "wrk",
    ],
    build: "./configure --with-cc-opt='-g -O2' --prefix=. --with-http_ssl_module --with-http_v2_module --with-http_dav_module \
            --with-http_mp4_module --with-mail --with-mail_ssl_module --with-threads && make -j2",
    binary: "objs/nginx",
    client: None,
    start: &["BINARY", "-p", ".", "-c", "nginx.conf", "-e", "error.log"],
    files: &[
        (
            "nginx.conf",
            "daemon off;\nuser root;\nworker_processes 2;\npid nginx.pid;\nevents { worker_connections 512; }\n\
             http {\n  access_log off;\n  keepalive_requests 1000000000;\n  charset utf-8;\n\
             server { listen 127.0.0.1:36379; root .; rewrite ^/old/(.*)$ /$1 last; }\n}\n",
        ),
        ("index.html", "it works\n"),
    ],
    load: &[
        "wrk",
        "-t",
        "2",
        "-c",
        "20",
        "-d",
        "3600",
        "http://127.0.0.1:36379/old/index.html",
    ],
    probe: Probe {
        request: "GET /old/index.html HTTP/1.1\r\nHost: x\r\n\r\n",
        begin: "HTTP/1.1 200 OK\r\n",
        end: "it works\n",
    },
    fixes: &[
        Fix::Debian("CVE-2025-23419.patch"),
        Fix::Debian("CVE-2026-42945.patch"),
        Fix::Debian("CVE-2026-9256.patch"),
        Fix::Debian("CVE-2026-48142.patch"),
    ],
};

/// What the clients of libraries answer.
const RIGHT: Probe = Probe {
    request: "work\n",
    begin: "right",
    end: "right\n",
};

const HEADER: &str = include_str!("clients/client.h");

const ZLIB: Program = Program {
    name: "zlib",
    packages: &["gcc", "make"],
    build: "CFLAGS='-g -O2' ./configure && make -j2 libz.so.1.2.13",
    binary: "libz.so.1.2.13",
    client: Some(Client {
        source: include_str!("clients/zlib.c"),
        header: HEADER,
    }),
    start: &["BINARY", "36379"],
    files: &[],
    load: &[],
    probe: RIGHT,
    fixes: &[
        Fix::Came(
            "CVE-2022-37434",
            include_str!("fixes/zlib-CVE-2022-37434.patch"),
        ),
        Fix::Newer("inflateSync", include_str!("fixes/zlib-inflateSync.patch")),
        Fix::Newer(
            "deflateBound",
            include_str!("fixes/zlib-deflateBound.patch"),
        ),
    ],
};

const SQLITE: Program = Program {
    name: "sqlite3",
    packages: &["gcc", "make", "tcl"],
    build: "./configure --disable-tcl --disable-static --disable-readline CFLAGS='-g -O2 -DSQLITE_ENABLE_SESSION \
            -DSQLITE_ENABLE_PREUPDATE_HOOK -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_FTS3' && make libsqlite3.la",
    binary: ".libs/libsqlite3.so.0.8.6",
    client: Some(Client {
        source: include_str!("clients/sqlite.c"),
        header: HEADER,
    }),
    start: &["BINARY", "36379"],
    files: &[],
    load: &[],
    probe: RIGHT,
    fixes: &[
        // CVE-2023-7104.
        Fix::Debian("0001-Fix-a-buffer-overread-in-the-sessions-extension-that.patch"),
        Fix::Debian("0002-Avoid-a-stack-overflow-that-could-be-caused-by-a-rec.patch"),
        Fix::Debian("41-fix_a_bug_in_the_NOT_NULL-IS_NULL_optimization.patch"),
    ],
};
