//! The programs: where they come from, how they are built, started and kept busy. Data; the steps are elsewhere.

/// A real program, patched while it works.
#[derive(Debug)]
pub(crate) struct Program {
    /// Debian's source package, and what people call it here.
    pub(crate) name: &'static str,
    /// Debian packages that building it and keeping it busy need.
    pub(crate) packages: &'static [&'static str],
    /// The program's own build, in its source folder.
    pub(crate) build: &'static str,
    /// What it builds, in its source folder.
    pub(crate) binary: &'static str,
    /// Starts it on [`PORT`], with [`Self::files`] in the folder where it runs; `BINARY` stands for the program.
    pub(crate) start: &'static [&'static str],
    /// Files that it reads, with their texts.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Keeps it busy until it is killed, or says that a request failed.
    pub(crate) load: &'static [&'static str],
    /// What is sent again and again to see how long an answer takes.
    pub(crate) probe: Probe,
    /// Fixes of Debian's, by their names in `debian/patches`.
    pub(crate) fixes: &'static [&'static str],
}

/// A request with its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) request: &'static str,
    /// How the right answer begins.
    pub(crate) begin: &'static str,
    /// What it ends with, and what is nowhere before.
    pub(crate) end: &'static str,
}

/// Where they listen, on the loopback.
pub(crate) const PORT: u16 = 36_379;

/// All of them.
pub(crate) const PROGRAMS: [Program; 2] = [
    Program {
        name: "redis",
        packages: &["gcc", "make", "pkg-config"],
        build: "make -j2 MALLOC=libc BUILD_TLS=no USE_SYSTEMD=no OPTIMIZATION=-O2",
        binary: "src/redis-server",
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
        load: &[
            "SOURCE/src/redis-benchmark",
            "-p",
            "36379",
            "-q",
            "-l",
            "-c",
            "20",
            "-t",
            "set,get,incr,lpush,hset,zadd",
            "-n",
            "100000",
        ],
        probe: Probe {
            request: "PING\r\n",
            begin: "+PONG",
            end: "PONG\r\n",
        },
        fixes: &[
            "0001-Fix-LUA-garbage-collector-CVE-2024-46981-1513.patch",
            "0002-Fix-Read-Write-key-pattern-selector-CVE-2024-51741-1.patch",
            "0006-CVE-2025-32023.patch",
            "CVE-2026-23631.patch",
            "CVE-2026-66373.patch",
        ],
    },
    Program {
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
        start: &["BINARY", "-p", ".", "-c", "nginx.conf", "-e", "error.log"],
        files: &[
            (
                "nginx.conf",
                "daemon off;\nworker_processes 1;\npid nginx.pid;\nevents { worker_connections 512; }\n\
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
            "CVE-2025-23419.patch",
            "CVE-2026-42945.patch",
            "CVE-2026-9256.patch",
            "CVE-2026-48142.patch",
        ],
    },
];
