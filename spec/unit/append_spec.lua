-- core.append, the append-only file under a journal: one writer at a time,
-- whole pieces only. And core.crc32, core.terminal.

local core = require "taskclient.core"
local paths = require "spec.support.paths"
local process = require "spec.support.process"

local folder, path

local function slurp()
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local function child(setup, code)
  local head = ("package.cpath='./%s/%s/?.so;"
    .. "'..package.cpath core=require'taskclient.core' path=%q ")
    :format(paths.build, paths.lua, path)
  local script = ("%s exec %s -e \"$1\""):format(setup, paths.lua)
  local status, out, err = process.run { "sh", "-c", script, "sh", head .. code }
  assert.equal(0, status, err)
  return out
end

local OPEN = "f, err = core.append(path) print(f ~= nil, err and err.kind, err and err.locked)"

describe("core.append", function()
  before_each(function()
    folder = process.tempdir()
    path = folder .. "/run.journal"
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  it("grows by what is written, and reads it back", function()
    local file = assert(core.append(path))
    assert.equal("", file:read())
    assert.is_true(file:write "one\n")
    assert.is_true(file:write "two\0\n")
    assert.is_true(file:write "")
    assert.is_true(file:sync())
    assert.equal("one\ntwo\0\n", file:read())
    file:close()
    file = assert(core.append(path))
    assert(file:write(("x"):rep(100000)))
    assert.equal(9 + 100000, #file:read())
    file:close()
    assert.equal(9 + 100000, #slurp())
  end)

  it("is made for its owner alone, and forgets from a size on", function()
    local file = assert(core.append(path))
    local pipe = io.popen("stat -c %a " .. path)
    assert.equal("600", pipe:read "*l")
    pipe:close()
    assert(file:write "one\ntwo\nhal")
    assert.is_true(file:truncate(8))
    assert(file:write "three\n")
    assert.equal("one\ntwo\nthree\n", file:read())
    file:close()
  end)

  it("appears with its first piece in it, whole, and leaves what exists alone", function()
    local file = assert(core.append(path, "first\n"))
    assert.equal("first\n", file:read())
    assert(file:write "second\n")
    file:close()
    local pipe = io.popen("stat -c %a " .. path .. "; ls -A " .. folder)
    assert.equal("600\nrun.journal\n", pipe:read "*a")
    pipe:close()
    file = assert(core.append(path, "another\n"))
    assert.equal("first\nsecond\n", file:read())
    file:close()
    os.remove(path)
    assert(os.execute("ln -s elsewhere " .. path))
    file = assert(core.append(path, "first\n")) -- the link is followed, as always
    assert.equal("", file:read())
    file:close()
    assert.is_nil((core.append(folder .. "/none/run.journal", "first\n")))
  end)

  it("is only looked at where that is asked, whoever writes it", function()
    local file = assert(core.append(path))
    assert(file:write "one\n")
    local seen = assert(core.append(path, nil, true))
    assert.equal("one\n", seen:read())
    assert.equal("io", select(2, seen:write "two\n").kind)
    seen:close()
    file:close()
    assert.equal("one\n", slurp())
    assert.is_nil((core.append(path .. ".none", "first\n", true)))
    assert.is_nil(io.open(path .. ".none"))
  end)

  it("is no pipe, no folder, no device: nothing is waited for", function()
    assert(os.execute("mkfifo " .. folder .. "/pipe"))
    for _, odd in ipairs { folder .. "/pipe", folder, "/dev/null", "/dev/full" } do
      for _, look in ipairs { true, false } do
        local file, err = core.append(odd, "first\n", look)
        assert.is_nil(file)
        assert.equal("io", err.kind)
      end
    end
    assert.truthy(select(2, core.append("/dev/null")).message:find("not a regular file", 1, true))
  end)

  it("says that it was deleted, rather than write what nobody will read", function()
    local file = assert(core.append(path))
    assert(file:write "one\n")
    os.remove(path)
    local ok, err = file:write "two\n"
    assert.is_nil(ok)
    assert.equal("io", err.kind)
    assert.truthy(err.message:find("deleted while it was in use", 1, true))
  end)

  it("belongs to one at a time, in this process and in others", function()
    local file = assert(core.append(path))
    local none, err = core.append(path)
    assert.is_nil(none)
    assert.equal("io", err.kind)
    assert.is_true(err.locked)
    assert.truthy(err.message:find("locked", 1, true))
    assert.equal("false\tio\ttrue\n", child("", OPEN))
    file:close()
    assert.equal("true\tnil\tnil\n", child("", OPEN))
    assert(core.append(path)) -- forgotten at once: collection lets go too
    collectgarbage()
    collectgarbage()
    assert(core.append(path)):close()
  end)

  it("takes back a piece that does not fit", function()
    local out = child("ulimit -f 8; trap '' XFSZ;", [[
      f = assert(core.append(path))
      pieces = 0
      repeat
        ok, err = f:write(("x"):rep(999) .. "\n")
        if ok then pieces = pieces + 1 end
      until not ok
      print(pieces * 1000 == #f:read(), err.kind, err.locked)
      print(f:write "small\n")]])
    assert.equal("true\tio\tnil\ntrue\n", out)
    for line in slurp():gmatch "[^\n]*\n" do assert(line == ("x"):rep(999) .. "\n"
      or line == "small\n") end
  end)

  it("gives an error for what cannot be such a file", function()
    for _, name in ipairs { folder, folder .. "/none/x", "/dev/null", "" } do
      local none, err = core.append(name)
      assert.is_nil(none)
      assert.equal("io", err.kind)
      assert.is_nil(err.locked)
    end
  end)

  it("raises on misuse", function()
    local file = assert(core.append(path))
    assert.is_false(pcall(file.write, file, {}))
    assert.is_false(pcall(file.truncate, file, -1))
    assert.is_false(pcall(file.truncate, file, 0 / 0))
    assert.is_false(pcall(core.append, "a\0b"))
    assert.truthy(tostring(file):find(path, 1, true))
    file:close()
    file:close()
    for _, method in ipairs { "write", "sync", "read", "truncate" } do
      assert.is_false(pcall(file[method], file, "1"))
    end
    assert.equal("taskclient append (closed)", tostring(file))
  end)
end)

describe("core.crc32", function()
  it("is the IEEE checksum", function()
    assert.equal("00000000", core.crc32 "")
    assert.equal("cbf43926", core.crc32 "123456789")
    assert.equal("414fa339", core.crc32 "The quick brown fox jumps over the lazy dog")
    assert.equal("d202ef8d", core.crc32 "\0")
    assert.equal("ff000000", core.crc32 "\255")
  end)
end)

describe("core.terminal", function()
  it("is nil where there is no terminal", function()
    assert.is_nil(core.terminal(0x7FFF))
    assert.equal("nil\n", child("", "print(core.terminal(0))"))
  end)

  it("tells a terminal's size", function()
    if os.execute "command -v script >/dev/null 2>&1" ~= true
      and os.execute "command -v script >/dev/null 2>&1" ~= 0 then
      return pending "script(1) is not installed"
    end
    local code = ("package.cpath='./%s/%s/?.so;"
      .. "'..package.cpath print(require'taskclient.core'.terminal(1))")
      :format(paths.build, paths.lua)
    local inner = ("stty cols 123 rows 45; %s -e %s"):format(paths.lua, process.quote(code))
    local _, out = process.run { "script", "-qec", inner, "/dev/null" }
    assert.truthy(out:find "123%s+45", out)
  end)
end)
