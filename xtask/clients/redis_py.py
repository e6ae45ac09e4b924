"""redis-py with its defaults, and in both protocols, against Tally and Redis: the same calls, the same answers.

Usage: redis_py.py TALLY_PORT REDIS_PORT. Ends with 1 when an answer differs.
"""

import sys
import time

import redis


class About:
    """A number that two servers cannot give alike, because time goes on: equal when near."""

    def __init__(self, value, within):
        self.value, self.within = value, within

    def __eq__(self, other):
        return isinstance(other, About) and abs(self.value - other.value) <= self.within

    def __repr__(self):
        return f"about {self.value}"


def ttl(value, within=2):
    return value if value < 0 else About(value, within)


def attempt(call):
    try:
        return call()
    except redis.RedisError as error:
        return type(error).__name__, str(error)


def short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:140]} … {text[-140:]}"


def counting(r):
    yield "incr of nothing", lambda: r.incr("n")
    yield "incr", lambda: r.incr("n")
    yield "incrby", lambda: r.incrby("n", 40)
    yield "incr with an amount", lambda: r.incr("n", 5)
    yield "decr", lambda: r.decr("n")
    yield "decrby", lambda: r.decrby("n", 7)
    yield "a negative amount", lambda: r.incrby("n", -100)
    yield "get", lambda: r.get("n")
    yield "get of nothing", lambda: r.get("nothing")
    yield "mget", lambda: r.mget("n", "nothing", "n")
    yield "mget of a list", lambda: r.mget(["n", "nothing"])
    yield "a key with all kinds of characters", lambda: r.incr("page:/ä b?c=d&e\t\"f\"'g'")
    yield "its value", lambda: r.get("page:/ä b?c=d&e\t\"f\"'g'")
    yield "the greatest value", lambda: r.set("max", 2**63 - 1)
    yield "is kept", lambda: r.get("max")
    yield "incr beyond it", lambda: r.incr("max")
    yield "leaves it", lambda: r.get("max")
    yield "the least value", lambda: r.set("min", -(2**63))
    yield "decr beyond it", lambda: r.decr("min")
    yield "leaves that too", lambda: r.get("min")
    yield "decrby of the least amount", lambda: r.decrby("zero", -(2**63))


def setting(r):
    yield "set", lambda: r.set("s", 10)
    yield "set again", lambda: r.set("s", -11)
    yield "set nx of one that is there", lambda: r.set("s", 12, nx=True)
    yield "set nx of one that is not", lambda: r.set("s2", 12, nx=True)
    yield "set xx of one that is there", lambda: r.set("s", 13, xx=True)
    yield "set xx of one that is not", lambda: r.set("s3", 13, xx=True)
    yield "set get", lambda: r.set("s", 14, get=True)
    yield "set get of nothing", lambda: r.set("s4", 14, get=True)
    yield "set nx get of one that is there", lambda: r.set("s", 15, nx=True, get=True)
    yield "set ex", lambda: r.set("s", 16, ex=100)
    yield "its ttl", lambda: ttl(r.ttl("s"))
    yield "set keepttl", lambda: r.set("s", 17, keepttl=True)
    yield "keeps the ttl", lambda: ttl(r.ttl("s"))
    yield "set without it", lambda: r.set("s", 18)
    yield "removes the ttl", lambda: r.ttl("s")
    yield "set px", lambda: r.set("s", 19, px=100_000)
    yield "its pttl", lambda: ttl(r.pttl("s"), 2_000)
    yield "set exat", lambda: r.set("s", 20, exat=int(time.time()) + 50)
    yield "its ttl then", lambda: ttl(r.ttl("s"))
    yield "set pxat", lambda: r.set("s", 21, pxat=int(time.time() * 1000) + 50_000)
    yield "its pttl then", lambda: ttl(r.pttl("s"), 2_000)
    yield "incr keeps the ttl", lambda: (r.incr("s"), ttl(r.ttl("s")))
    yield "set ex 0", lambda: r.set("s", 1, ex=0)
    yield "setex", lambda: (r.execute_command("SETEX", "s5", 100, 5), ttl(r.ttl("s5")))
    yield "setnx", lambda: (r.execute_command("SETNX", "s7", 1), r.execute_command("SETNX", "s7", 2), r.get("s7"))
    yield "getset", lambda: (r.execute_command("GETSET", "s7", 3), r.execute_command("GETSET", "s8", 4))
    yield "getdel", lambda: (r.getdel("s7"), r.getdel("s7"))
    yield "getex", lambda: (r.getex("s8", ex=100), ttl(r.ttl("s8")))
    yield "getex persist", lambda: (r.getex("s8", persist=True), r.ttl("s8"))
    yield "getex plain", lambda: (r.getex("s8"), r.ttl("s8"), r.getex("nothing"))


def expiring(r):
    yield "expire", lambda: (r.set("e", 1), r.expire("e", 100), ttl(r.ttl("e")))
    yield "expire of nothing", lambda: r.expire("nothing", 100)
    yield "expire nx", lambda: r.expire("e", 200, nx=True)
    yield "expire xx", lambda: (r.expire("e", 200, xx=True), ttl(r.ttl("e")))
    yield "expire gt", lambda: (r.expire("e", 100, gt=True), r.expire("e", 300, gt=True))
    yield "expire lt", lambda: (r.expire("e", 400, lt=True), r.expire("e", 50, lt=True))
    yield "pexpire", lambda: (r.pexpire("e", 90_000), ttl(r.pttl("e"), 2_000))
    yield "expireat", lambda: (r.expireat("e", int(time.time()) + 60), ttl(r.ttl("e")))
    yield "pexpireat", lambda: (r.pexpireat("e", int(time.time() * 1000) + 60_000), ttl(r.ttl("e")))
    yield "expiretime", lambda: (r.expireat("e", 4_000_000_000), r.expiretime("e"), r.expiretime("nothing"))
    yield "persist", lambda: (r.persist("e"), r.persist("e"), r.ttl("e"), r.expiretime("e"))
    yield "ttl of nothing", lambda: (r.ttl("nothing"), r.pttl("nothing"))
    yield "expire in the past", lambda: (r.set("gone", 1), r.expire("gone", -1), r.get("gone"), r.exists("gone"))
    yield "expire soon", lambda: (r.set("soon", 7), r.pexpire("soon", 1))
    yield "is gone", lambda: gone(r, "soon")
    yield "and begins anew", lambda: (r.incr("soon"), r.ttl("soon"))


def gone(r, key):
    """Waits until it is, for 10 seconds at most."""
    end = time.monotonic() + 10
    while r.exists(key):
        if time.monotonic() > end:
            return "still there"
    return "gone"


def keys(r):
    yield "exists", lambda: (r.set("k", 1), r.exists("k"), r.exists("k", "k", "nothing"))
    yield "touch", lambda: r.touch("k", "nothing")
    yield "type", lambda: (r.type("k"), r.type("nothing"))
    yield "delete", lambda: (r.delete("k", "nothing"), r.delete("k"))
    yield "unlink", lambda: (r.set("k", 1), r.unlink("k", "nothing"), r.get("k"))
    yield "incr after delete", lambda: (r.incrby("k", 5), r.delete("k"), r.incr("k"))
    yield "dbsize", lambda: (r.dbsize(), r.incr("one more"), r.dbsize())
    yield "object encoding", lambda: r.object("encoding", "k")
    yield "object refcount is a number", lambda: isinstance(r.object("refcount", "k"), int)
    yield "object idletime is a number", lambda: isinstance(r.object("idletime", "k"), int)
    yield "scan finds all", lambda: scanned(r, 700)
    yield "scan with a match", lambda: sorted(r.scan_iter(match="scan:1?:*", count=50))
    yield "scan of a type", lambda: (len(set(r.scan_iter(_type="string"))), len(set(r.scan_iter(_type="hash"))))


def scanned(r, many):
    pipeline = r.pipeline(transaction=False)
    for number in range(many):
        pipeline.incrby(f"scan:{number % 100}:{number}", number + 1)
    pipeline.execute()
    return sorted(set(r.scan_iter(match="scan:*"))), len(set(r.scan_iter(count=7))) == r.dbsize()


def pipelines(r):
    yield "a pipeline, which is MULTI", lambda: r.pipeline().incr("p").incrby("p", 5).get("p").execute()
    yield "without a transaction", lambda: r.pipeline(transaction=False).incr("p").decr("q").mget("p", "q").execute()
    yield "an error in MULTI", lambda: broken(r, True)
    yield "an error without", lambda: broken(r, False)
    yield "the rest of both was done", lambda: r.mget("p", "q", "max2")
    yield "errors as answers", lambda: [str(a) for a in overflow(r).execute(raise_on_error=False)]
    yield "a long pipeline", lambda: sum(long_pipeline(r))
    yield "reads of what MULTI wrote", lambda: r.pipeline().set("p", 3).incr("p").exists("p").delete("p").get("p").execute()
    yield "set and expire in MULTI", lambda: r.pipeline().set("p", 1, ex=100).ttl("p").persist("p").ttl("p").execute()
    yield "an unknown command in MULTI", lambda: r.pipeline().execute_command("NOSUCH", "x").incr("p").execute()
    yield "discards all", lambda: r.get("p")
    yield "an empty pipeline", lambda: r.pipeline().execute()
    yield "exec without multi", lambda: r.execute_command("EXEC")
    yield "discard without multi", lambda: r.execute_command("DISCARD")


def overflow(r):
    return r.pipeline().set("max2", 2**63 - 1).incr("max2").decr("max2")


def broken(r, transaction):
    return r.pipeline(transaction=transaction).set("max2", 2**63 - 1).incr("p").incr("max2").incr("q").execute()


def long_pipeline(r):
    pipeline = r.pipeline(transaction=False)
    for number in range(5_000):
        pipeline.incr(f"long:{number % 10}")
    return pipeline.execute()


def errors(r):
    yield "a broken amount", lambda: r.execute_command("INCRBY", "x", "abc")
    yield "a fraction", lambda: r.execute_command("INCRBY", "x", "1.5")
    yield "an amount beyond 64 bits", lambda: r.execute_command("INCRBY", "x", str(2**63))
    yield "an amount with a space", lambda: r.execute_command("INCRBY", "x", " 1")
    yield "an amount with a plus", lambda: r.execute_command("INCRBY", "x", "+1")
    yield "an empty amount", lambda: r.execute_command("INCRBY", "x", "")
    yield "decr of the least amount", lambda: r.execute_command("DECRBY", "x", str(-(2**63)))
    yield "too few words", lambda: r.execute_command("INCR")
    yield "too many words", lambda: r.execute_command("INCR", "a", "b")
    yield "too few for set", lambda: r.execute_command("SET", "a")
    yield "a broken set", lambda: r.execute_command("SET", "a", "1", "EX")
    yield "set with two conditions", lambda: r.execute_command("SET", "a", "1", "NX", "XX")
    yield "set with two times", lambda: r.execute_command("SET", "a", "1", "EX", "1", "PX", "1")
    yield "a ttl that is no number", lambda: r.execute_command("SET", "a", "1", "EX", "soon")
    yield "expire that is no number", lambda: r.execute_command("EXPIRE", "a", "soon")
    yield "expire with two conditions", lambda: r.execute_command("EXPIRE", "n", "10", "NX", "GT")
    yield "an odd cursor", lambda: r.execute_command("SCAN", "abc")
    yield "scan count 0", lambda: r.execute_command("SCAN", "0", "COUNT", "0")
    yield "an unknown command", lambda: r.execute_command("NOSUCH", "a", "b")
    yield "an unknown subcommand", lambda: r.execute_command("OBJECT", "NOSUCH")
    yield "mget without keys", lambda: r.execute_command("MGET")
    yield "another database", lambda: r.execute_command("SELECT", "99")
    yield "nothing was made", lambda: r.exists("x", "a")


def connection(r):
    yield "ping", lambda: (r.ping(), r.execute_command("PING", "hello"))
    yield "echo", lambda: r.echo("hello")
    yield "select 0", lambda: r.execute_command("SELECT", "0")
    yield "client setname", lambda: (r.client_setname("me"), r.client_getname())
    yield "client id is a number", lambda: isinstance(r.client_id(), int)
    yield "client info names me", lambda: r.client_info()["name"]
    yield "client no-evict", lambda: r.client_no_evict("ON")
    yield "info has these", lambda: [type(r.info().get(name)).__name__ for name in INFO]
    yield "info of a section", lambda: type(r.info("server")["redis_version"]).__name__
    yield "command count is a number", lambda: isinstance(r.command_count(), int)
    yield "command info", lambda: "incr" in r.execute_command("COMMAND", "INFO", "incr")
    yield "config get", lambda: list(r.config_get("maxmemory"))
    yield "config get of nothing", lambda: r.config_get("no-such-setting")
    yield "quit", lambda: r.execute_command("QUIT")


INFO = ["redis_version", "tcp_port", "uptime_in_seconds", "connected_clients", "used_memory", "role", "redis_mode"]

# What a counter cannot mean: Redis does it, Tally answers with an error.
REFUSED = [
    ("SET", "r", "text"),
    ("SET", "r", "1.5"),
    ("SET", "r", " 1"),
    ("SET", "r", "007"),
    ("SET", "r", str(2**63)),
    ("SETNX", "r", "text"),
    ("GETSET", "r", "text"),
    ("SETEX", "r", "100", ""),
    ("APPEND", "r", "1"),
    ("INCRBYFLOAT", "r", "1.5"),
    ("LPUSH", "r", "1"),
    ("HSET", "r", "f", "1"),
    ("SADD", "r", "1"),
    ("WATCH", "r"),
    ("INCR", ""),
    ("INCR", "k" * 1025),
    ("INCR", b"\xff\xfe"),
    ("FLUSHALL",),
    ("FLUSHDB",),
]

GROUPS = [counting, setting, expiring, keys, pipelines, errors, connection]


def compare(ports, protocol):
    tally, rival = (redis.Redis(port=port, decode_responses=True, protocol=protocol) for port in ports)
    rival.flushall()
    wipe(tally)
    same, different = 0, []
    for group in GROUPS:
        for (name, of_tally), (_, of_rival) in zip(group(tally), group(rival), strict=True):
            got, expected = attempt(of_tally), attempt(of_rival)
            if got == expected:
                same += 1
            else:
                different.append(f"{group.__name__}: {name}: Tally {short(got)}, Redis {short(expected)}")
    return same, different


def wipe(r):
    """Without FLUSHALL, which is off by default."""
    for key in list(r.scan_iter(count=1000)):
        r.delete(key)


def refused(port):
    r = redis.Redis(port=port)
    different = []
    for command in REFUSED:
        answer = attempt(lambda: r.execute_command(*command))
        if not (isinstance(answer, tuple) and answer[0].endswith("Error") and answer[0] != "ConnectionError"):
            different.append(f"refused: {short(command)} must be an error, Tally answers {short(answer)}")
        if r.ping() is not True:
            different.append(f"refused: {short(command)} ended the connection")
    return different


def main():
    ports = [int(port) for port in sys.argv[1:3]]
    different = []
    for protocol in (None, 2, 3):
        same, differing = compare(ports, protocol)
        print(f"redis-py {redis.__version__}, protocol {protocol or 'by default'}: {same} answers are the same")
        different += [f"protocol {protocol or 'by default'}: {line}" for line in differing]
    different += refused(ports[0])
    print(f"{len(REFUSED)} commands that a counter cannot mean")
    for line in different:
        print("DIFFERENT", line)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
