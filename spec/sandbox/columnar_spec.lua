-- The helper that turns Parquet and ORC into CSV, with a stand-in for pyarrow:
-- what it does with values, and with files that cannot be read.

local process = require "spec.support.process"

local SCRIPT = "lua/taskclient/sandbox/columnar.py"

local STAND_IN = [[
class Schema:
    def __init__(self, names): self.names = names
    def get_field_index(self, name):
        return self.names.index(name) if self.names.count(name) == 1 else -1

class Column(list):
    def to_pylist(self): return list(self)

class Batch:
    def __init__(self, table):
        self.table, self.schema = table, Schema(list(table))
    def column(self, i): return Column(list(self.table.values())[i])

class ParquetFile:
    def __init__(self, path):
        if "missing" in path: raise OSError("no such file")
        self.path = path
    def iter_batches(self, columns):
        yield Batch({"id": [1, 2], "x": [None, 'a "b"\n'], "ok": [True, False],
                     "bin": [b"\x00\xff\"", b""]})
        if "bad" in self.path: raise ValueError("page 7 is broken")
]]

describe("the reader of columnar files", function()
  local folder

  setup(function()
    folder = process.tempdir()
    os.execute("mkdir " .. folder .. "/pyarrow")
    for name, text in pairs { ["__init__"] = "", parquet = STAND_IN } do
      local file = assert(io.open(("%s/pyarrow/%s.py"):format(folder, name), "w"))
      file:write(text)
      file:close()
    end
  end)

  teardown(function() os.execute("rm -rf " .. process.quote(folder)) end)

  local function read(path, env, fourth)
    return process.run({ "python3", SCRIPT, "Parquet", path, "bin", "id", "x", fourth or "ok" },
      { env = env or { PYTHONPATH = folder } })
  end

  it("quotes every value, keeps bytes as they are, leaves nulls empty", function()
    local code, text = read "good"
    assert.equals(0, code)
    assert.equals('"\0\255""","1",,"true"\n"","2","a ""b""\n","false"\n', text)
  end)

  it("takes no other column for one that is missing", function()
    local code, text = read("good", nil, "price")
    assert.equals(0, code)
    assert.equals("!the file has no column 'price', or several\n", text)
  end)

  it("says in its first line why it cannot begin", function()
    local code, text = read "missing"
    assert.equals(0, code)
    assert.equals("!no such file\n", text)
  end)

  it("fails when a file turns out bad further on", function()
    local code, text, complaint = read "bad"
    assert.equals(1, code)
    assert.matches('^"\0\255"""', text)
    assert.matches("page 7 is broken", complaint)
  end)
end)
