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

  it("replaces a link, and never writes through it", function()
    spit(folder .. "/target", "precious")
    os.execute(("ln -s target %s"):format(path))
    assert(writer { overwrite = true }:commit())
    assert.equal("precious", slurp(folder .. "/target"))
    assert.equal("a\r\nnew\r\n", slurp(path))
    assert.equal("regular file", output("stat -c %F " .. path))
  end)

  it("takes the place of no folder, device or pipe", function()
    os.execute("mkfifo " .. path)
    for _, name in ipairs { folder, path, "/dev/null", "", folder .. "/none/out.csv" } do
      local none, err = core.writer(name, { overwrite = true })
      assert.is_nil(none)
      assert.equal("io", err.kind)
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
end)
