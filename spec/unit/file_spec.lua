-- Output files: whole under their name or not there at all, by the writer
-- (core.writer) that uses them. Needs a POSIX shell and GNU stat.

local core = require "taskclient.core"
local paths = require "spec.support.paths"
local process = require "spec.support.process"

local folder, path

local function slurp(name)
  local file = io.open(name, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local function spit(name, text)
  local file = assert(io.open(name, "wb"))
  file:write(text)
  file:close()
end

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function entries() return output("ls -A " .. folder) end
local function mode(name) return output("stat -c %a " .. name) end

local function writer(opts)
  local made = assert(core.writer(path, opts or {}))
  assert(made:columns { "a" })
  assert(made:row { "new" })
  return made
end

-- runs Lua code in a child with the shell's limits set first
local function child(setup, code)
  local script = ("%s; exec %s -e \"$1\""):format(setup, paths.lua)
  local head = ("package.cpath='%s/%s/?.so;"
    .. "'..package.cpath core=require'taskclient.core' path=%q ")
    :format(output "pwd" .. "/" .. paths.build, paths.lua, path)
  local status, out, err = process.run { "sh", "-c", script, "sh", head .. code }
  assert.equal(0, status, err)
  return out
end

describe("an output file", function()
  before_each(function()
    folder = process.tempdir()
    path = folder .. "/out.csv"
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  it("made beside its path is put in its place, and in no device's", function()
    local function place(overwrite)
      spit(folder .. "/made", "new")
      return core.place(folder .. "/made", path, overwrite)
    end
    assert.is_true(place(false))
    assert.equal("new", slurp(path))
    assert.equal("out.csv", entries())
    local ok, err = place(false)
    assert.is_nil(ok)
    assert.equal("io", err.kind)
    spit(path, "old")
    os.execute("chmod 640 " .. path)
    assert.is_true(place(true))
    assert.equal("new", slurp(path))
    assert.equal("640", mode(path))
    os.remove(path)
    os.execute("mkfifo " .. path)
    assert.equal("io", (select(2, place(true))).kind)
    assert.equal("prw", output("ls -l " .. path):sub(1, 3))
    assert.equal("io", (select(2, core.place(folder .. "/none", folder .. "/x", false))).kind)
  end)

  it("is not there before it is whole", function()
    local made = writer()
    assert.is_nil(slurp(path))
    assert.truthy(entries():find "^%.taskclient%-%x+%.part$")
    assert.equal("600", mode(folder .. "/" .. entries()))
    assert(made:commit())
    assert.equal("a\r\nnew\r\n", slurp(path))
    assert.equal("out.csv", entries())
  end)

  it("leaves nothing when it is discarded or collected", function()
    writer():discard()
    assert.equal("", entries())
    writer()
    collectgarbage()
    collectgarbage()
    assert.equal("", entries())
  end)

  it("leaves the old file alone until then", function()
    spit(path, "old")
    local made = writer { overwrite = true }
    assert.equal("old", slurp(path))
    made:discard()
    assert.equal("old", slurp(path))
    assert(writer { overwrite = true }:commit())
    assert.equal("a\r\nnew\r\n", slurp(path))
  end)

  it("replaces nothing without overwrite, not even what came meanwhile", function()
    spit(path, "old")
    local none, err = core.writer(path, {})
    assert.is_nil(none)
    assert.equal("io", err.kind)
    assert.truthy(err.message:find("exists", 1, true))
    os.remove(path)
    local made = writer()
    spit(path, "meanwhile")
    none, err = made:commit()
    assert.is_nil(none)
    assert.equal("io", err.kind)
    assert.equal("meanwhile", slurp(path))
    assert.equal("out.csv", entries())
  end)

  it("has the mode of the umask, or of the file it replaces", function()
    child("umask 027", "w=core.writer(path, {}) assert(w:columns{'a'}) assert(w:commit())")
    assert.equal("640", mode(path))
    os.execute("chmod 604 " .. path)
    assert(writer { overwrite = true }:commit())
    assert.equal("604", mode(path))
  end)

  it("is put where a link leads to, and the link stays", function()
    os.execute(("mkdir %s/data; echo old > %s/data/target; chmod 640 %s/data/target")
      :format(folder, folder, folder))
    os.execute(("ln -s data/target %s/hop; ln -s %s/hop %s"):format(folder, folder, path))
    assert.is_nil((core.writer(path, {})))
    assert(writer { overwrite = true }:commit())
    assert.equal("a\r\nnew\r\n", slurp(folder .. "/data/target"))
    assert.equal("640", mode(folder .. "/data/target"))
    assert.equal("symbolic link", output("stat -c %F " .. path))
    os.remove(folder .. "/data/target")
    assert(writer { overwrite = true }:commit()) -- a link to nothing: the file it names is made
    assert.equal("a\r\nnew\r\n", slurp(folder .. "/data/target"))
    os.execute(("cd %s; ln -s round ring; ln -s ring round; ln -s /proc/self/fd/1 stdout")
      :format(folder))
    for _, name in ipairs { "/ring", "/stdout", "/data/none/", "/data/" } do
      local none, err = core.writer(folder .. name, { overwrite = true })
      assert.is_nil(none, name)
      assert.equal("io", err.kind)
    end
    assert.equal("target", output("ls -A " .. folder .. "/data"))
  end)

  it("takes no place where a pipe or a link has come meanwhile", function()
    for _, command in ipairs { "mkfifo ", "ln -s /dev/null " } do
      local made = writer { overwrite = true }
      os.execute(command .. path)
      local none, err = made:commit()
      assert.is_nil(none)
      assert.equal("io", err.kind)
      assert.equal("out.csv", entries())
      os.remove(path)
    end
  end)

  it("of bytes as they are is put in place by the same way", function()
    local made = assert(core.writer(path, {}))
    assert(made:write "a\0b")
    assert(made:write(("x"):rep(200000)))
    assert.is_nil(slurp(path))
    assert.equal(200003, (assert(made:commit())))
    assert.equal("a\0b" .. ("x"):rep(200000), slurp(path))
  end)

  -- a crash after the rename must find the bytes there, or an empty file has taken the old one's
  -- place; and a crash after success was told must find the name
  it("is synced before it gets its name, its folder after it, unless durable is false", function()
    local function calls(code)
      local status, _, err = process.run({ "strace", "-qq", "-e",
        "trace=fsync,fdatasync,rename,renameat,renameat2", paths.lua, "-e", code },
        { env = { LUA_CPATH = package.cpath, ASAN_OPTIONS = "detect_leaks=0" } })
      assert.equal(0, status, err)
      local names = {}
      for name in err:gmatch "(%a+%d?)%([^\n]*= 0" do names[#names + 1] = name end
      return table.concat(names, " ")
    end
    local function written(opts)
      return calls(("w=require'taskclient.core'.writer(%q, %s) w:write 'x' assert(w:commit())")
        :format(path, opts))
    end
    assert.equal("fsync rename fsync", written "{ overwrite = true }")
    assert.equal("rename", written "{ overwrite = true, durable = false }")
    local function placed(durable)
      spit(folder .. "/made", "new")
      return calls(("assert(require'taskclient.core'.place(%q, %q, true, %s))")
        :format(folder .. "/made", path, durable))
    end
    assert.equal("fsync rename fsync", placed "true")
    assert.equal("rename", placed "false")
  end)

  it("takes the place of no folder, device or pipe", function()
    os.execute("mkfifo " .. path)
    for _, name in ipairs { folder, path, "/dev/null", "", folder .. "/none/out.csv" } do
      for _, overwrite in ipairs { true, false } do
        local none, err = core.writer(name, { overwrite = overwrite })
        assert.is_nil(none)
        assert.equal("io", err.kind)
        assert.is_nil(err.message:find("overwrite", 1, true)) -- which would not help
      end
    end
    assert.equal("out.csv", entries())
  end)

  it("that does not fit leaves nothing", function()
    -- a limit on the file's size stands for a full disk: write(2) fails alike
    local out = child("ulimit -f 64; trap '' XFSZ", [[
      w = core.writer(path, {}) w:columns { "a" }
      line = { ("x"):rep(1000) }
      for i = 1, 500 do
        ok, err = w:row(line)
        if not ok then break end
      end
      again, err2 = w:row(line)
      none, err3 = w:commit()
      print(ok, err.kind, again, err2.kind, none, err3.kind)
      print((err3.message:gsub(".*: ", "")))]])
    assert.equal("nil\tio\tnil\tio\tnil\tio\nFile too large\n", out)
    assert.equal("", entries())
  end)

  it("may be many at once, side by side", function()
    local made = {}
    for i = 1, 20 do
      path = folder .. "/out" .. i
      made[i] = writer()
    end
    for i = 20, 1, -1 do assert(made[i]:commit()) end
    assert.equal("20", output("ls -A " .. folder .. " | wc -l"))
  end)

  it("may have a name without a folder", function()
    local out = child("cd " .. folder,
      "w = core.writer('plain', {}) assert(w:columns{'a'}) print(w:commit())")
    assert.equal("3\t0\n", out)
    assert.equal("a\r\n", slurp(folder .. "/plain"))
  end)

  -- There is no fork in Lua: LuaJIT's ffi has one.
  it("belongs to the process that began it, not to a child that forked off", function()
    local built = io.open "build/luajit/taskclient/core.so"
    if not built then
      pending "not built for LuaJIT"
      return
    end
    built:close()
    spit(folder .. "/child.lua", [[
      local ffi = require "ffi"
      ffi.cdef "int fork(void); int waitpid(int, int *, int); void _exit(int);"
      local core = require "taskclient.core"
      local writer, journal = core.writer(arg[1], {}), core.append(arg[2], "first\n")
      assert(writer:write "whole")
      local pid = ffi.C.fork()
      if pid == 0 then
        writer:discard()
        local ok, err = journal:write "the child's\n"
        local cut, why = journal:truncate(0)
        local refused = not ok and err.kind == "closed" and not cut and why.kind == "closed"
        ffi.C._exit(refused and 0 or 3)
      end
      local status = ffi.new "int[1]"
      ffi.C.waitpid(pid, status, 0)
      assert(status[0] == 0, "the child wrote to its parent's journal")
      assert(journal:write "second\n")
      assert(writer:commit())]])
    local code, _, err = process.run({ "luajit", folder .. "/child.lua", path,
      folder .. "/journal" }, { env = { LUA_CPATH = "build/luajit/?.so;;" } })
    assert.equal(0, code, err)
    assert.equal("whole", slurp(path))
    assert.equal("first\nsecond\n", slurp(folder .. "/journal"))
  end)
end)
