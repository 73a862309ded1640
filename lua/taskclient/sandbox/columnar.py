"""Prints the columns of a Parquet or ORC file as CSV: every value in quotes, a null as nothing.

columnar.py <parquet|orc> <file> <column>...   A first line that begins with ! says why it cannot; a
file that turns out bad further on ends it with code 1.
"""
import sys


def text(value):
    if value is None:
        return b""
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, bytes):
        value = str(value).encode("utf-8")
    return b'"' + value.replace(b'"', b'""') + b'"'


def batches(kind, path, columns):
    if kind == "orc":
        from pyarrow import orc
        file = orc.ORCFile(path)
        for i in range(file.nstripes):
            yield file.read_stripe(i, columns=columns)
    else:
        from pyarrow import parquet
        yield from parquet.ParquetFile(path).iter_batches(columns=columns)


def values(batch, name):
    at = batch.schema.get_field_index(name)
    if at < 0:  # which Python would take for the last column
        raise LookupError("the file has no column '%s', or several" % name)
    return batch.column(at).to_pylist()


def main(kind, path, columns):
    out = sys.stdout.buffer
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        out.write(b"!reading %s needs Python's pyarrow: python3 -m pip install pyarrow (where the"
                  b" system refuses that: python3 -m venv env && env/bin/pip install pyarrow, and"
                  b" start the sandbox with PATH=env/bin:$PATH)\n" % kind.encode())
        return
    begun = False
    try:
        for batch in batches(kind.lower(), path, columns):
            for row in zip(*[values(batch, name) for name in columns]):
                out.write(b",".join(map(text, row)) + b"\n")
                begun = True
    except Exception as problem:
        if begun:
            sys.exit("cannot be read to its end: %s" % problem)
        out.write(b"!%s\n" % str(problem).replace("\n", " ").encode())


main(sys.argv[1], sys.argv[2], sys.argv[3:])
