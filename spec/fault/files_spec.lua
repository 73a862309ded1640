-- Every public way to a file against what cannot take one: a full disk, devices, pipes, folders,
-- descriptors; and a process that is killed while it writes. An older file stays as it is.
-- Needs a POSIX shell; a small disk needs root, or a system where anybody may have namespaces.

local cjson = require "cjson"
local fault = require "spec.support.fault"
local paths = require "spec.support.paths"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local WAYS = { "save csv", "save jsonl", "save text", "export csv", "export xlsx", "export job",
  "call", "html", "svg" }
local ROWS, CELL = 300, ("x"):rep(1000)

local function slurp(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local function spit(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function leaf(name)
  return { name = name, path = "file:///result/12/" .. name, isLeaf = true }
end

local function rows_of(n)
  local rows = {}
  for i = 1, n do rows[i] = { tostring(i), CELL } end
  return rows
end

local function page(kind, rows)
  return fault.linkis((cjson.encode { type = kind, totalPage = 0, totalLine = #rows,
    totalColumn = 2, metadata = kind == "2" and {
      { columnName = "id", dataType = "int" }, { columnName = "b", dataType = "string" } } or "",
    fileContent = rows }:gsub('"fileContent":{}', '"fileContent":[]')))
end

local function text_rows()
  local rows = {}
  for i = 1, ROWS do rows[i] = { CELL } end
  return rows
end

local CSV = "id,b\n" .. ("1," .. CELL .. "\n"):rep(ROWS)

local function rules(more)
  local all = more or {}
  for _, rule in ipairs {
    { match = "/jobhistory/%d+/get", reply = fault.linkis { task = { taskID = 12,
      status = "Succeed", resultLocation = "file:///result/12" } } },
    { match = "/getDirFileTrees", reply = fault.linkis { dirFileTrees = { name = "12",
      children = { leaf "_0.dolphin", leaf "_1.dolphin" } } } },
    { match = "/openFile.*_0.*page=1&", reply = page("2", rows_of(ROWS)) },
    { match = "/openFile.*_1.*page=1&", reply = page("1", text_rows()) },
    { match = "/openFile", reply = page("2", {}) },
    { match = "/fileInfo", reply = fault.linkis { rowNumber = ROWS } },
    { match = "/resultsetToExcel.*xlsx", reply = fault.http(200, "PK" .. CSV .. "PK\5\6") },
    { match = "/resultsetsToExcel", reply = fault.http(200, "PK" .. CSV .. "PK\5\6") },
    { match = "/resultsetToExcel", reply = fault.http(200, CSV) },
  } do all[#all + 1] = rule end
  return all
end

local function has_small_disk()
  return output "unshare -rm sh -c 'mount -t tmpfs -o size=64k none /tmp && echo yes'" == "yes"
end

describe("every way to a file", function()
  local fs, dir
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function()
    dir = process.tempdir()
    os.execute(("mkdir %s/out %s/run"):format(dir, dir))
    fs:script(rules())
  end)
  after_each(function() os.execute("rm -rf " .. process.quote(dir)) end)

  local function entries() return output("ls -A " .. dir .. "/out") end

  -- Runs the session: by way, what it was told; `head`: words of the shell's before it.
  local function session(path, head)
    local status, out, err = process.run({ "sh", "-c", (head or "") .. ' exec "$@"', "sh",
      paths.lua, "spec/support/files_session.lua", fs.url, dir .. "/run", path },
      { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
    assert.equal(0, status, err)
    local told = {}
    for way, word, text in out:gmatch "([^\t\n]+)\t(%w+)\t([^\n]*)" do
      told[way] = { word = word, text = text }
    end
    for _, way in ipairs(WAYS) do assert.is_table(told[way], way .. " said nothing: " .. out) end
    return told
  end

  local function all_say(told, word, text)
    for _, way in ipairs(WAYS) do
      assert.equal(word, told[way].word, way .. ": " .. told[way].text)
      if text then assert.matches(text, told[way].text, 1, true) end
    end
  end

  it("puts it in place, behind a link too", function()
    all_say(session(dir .. "/out/a"), "written")
    assert.equal("a", entries())
    spit(dir .. "/run/target", "old")
    os.remove(dir .. "/run/files.run")
    os.execute(("rm %s/out/a; ln -s ../run/target %s/out/a"):format(dir, dir))
    all_say(session(dir .. "/out/a"), "written")
    assert.is_true(#slurp(dir .. "/run/target") > 1000)
    assert.equal("symbolic link", output("stat -c %F " .. dir .. "/out/a"))
    assert.equal("files.run\ntarget", output("ls -A " .. dir .. "/run"))
  end)

  it("syncs it before it gets its name, and its folder then", function()
    spit(dir .. "/out/a", "old")
    session(dir .. "/out/a", "exec strace -qq -o " .. dir .. "/trace -e trace=fsync,"
      .. "rename,renameat,renameat2 \"$@\";")
    local calls = ""
    for name in slurp(dir .. "/trace"):gmatch "(%a+%d?)%([^\n]* = 0" do
      calls = calls .. " " .. name
    end
    local _, n = calls:gsub(" fsync rename fsync", "")
    assert.equal(#WAYS, n, calls)
  end)

  it("leaves an older file alone on a full disk, and nothing beside it", function()
    if not has_small_disk() then return pending "no small disk can be made here" end
    local mount = ("unshare -rm sh -c 'mount -t tmpfs -o size=64k none %s/out; echo old >%s/out/a; "
      .. "\"$@\"; status=$?; ls -A %s/out >&2; cat %s/out/a >&2; exit $status' sh")
      :format(dir, dir, dir, dir)
    local status, out, err = process.run({ "sh", "-c", mount .. ' "$@"', "sh", paths.lua,
      "spec/support/files_session.lua", fs.url, dir .. "/run", dir .. "/out/a" },
      { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
    assert.equal(0, status, err)
    for _, way in ipairs(WAYS) do
      assert.matches(way .. "\tio\t[^\n]*No space left", out)
    end
    assert.equal("a\nold\n", err)
  end)

  it("refuses at once what is no file, and leaves it as it is", function()
    os.execute(("mkfifo %s/out/pipe; ln -s pipe %s/out/link; ln -s /dev/full %s/out/full"):format(
      dir, dir, dir))
    local before = output("ls -Al " .. dir .. "/out")
    for _, path in ipairs { "/dev/full", "/dev/stdout", "/proc/self/fd/1", dir .. "/out",
      dir .. "/out/pipe", dir .. "/out/link", dir .. "/out/full", dir .. "/none/a" } do
      os.remove(dir .. "/run/files.run")
      all_say(session(path), "io")
      if path == dir .. "/out/pipe" then
        assert.equal(0, #fs:requests "resultsets?ToExcel") -- the server was not asked in vain
      end
    end
    assert.equal(before, output("ls -Al " .. dir .. "/out"))
  end)

  it("leaves an older file alone when it is killed, and a hidden part at the most", function()
    for way, rule in pairs {
      ["save csv"] = { match = "/openFile.*_0.*page=2&", { "read" }, { "stall" } },
      ["export csv"] = { match = "/resultsetToExcel", { "read" },
        { "send", fault.http(200, CSV):sub(1, 200000) }, { "stall" } },
      ["call"] = { match = "/resultsetToExcel", { "read" },
        { "send", fault.http(200, CSV):sub(1, 200000) }, { "stall" } },
    } do
      local full = { match = "/openFile.*_0.*page=1&pageSize=5000&", reply = page("2",
        rows_of(5000)) }
      local first = way == "save csv" and full
      fs:script(rules { rule, first or nil })
      spit(dir .. "/out/a", "old")
      local child = process.start({ paths.lua, "spec/support/files_session.lua", fs.url,
        dir .. "/run", dir .. "/out/a", way },
        { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
      wait.eventually(function()
        local bytes = output("cat " .. dir .. "/out/.taskclient-*.part 2>/dev/null | wc -c")
        return tonumber(bytes) > 65536
      end, 20, "a part of the file")
      child:signal "KILL"
      child:wait(10)
      child:stop()
      assert.equal("old", slurp(dir .. "/out/a"))
      assert.matches("^%.taskclient%-%x+%.part\na$", entries())
      fs:script(rules())
      os.remove(dir .. "/run/files.run")
      local _, out = process.run({ paths.lua, "spec/support/files_session.lua", fs.url,
        dir .. "/run", dir .. "/out/a", way },
        { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
      assert.matches(way .. "\twritten", out)
      assert.is_true(#slurp(dir .. "/out/a") > 100000)
      os.execute("rm -rf " .. dir .. "/out/.taskclient-*.part " .. dir .. "/out/a "
        .. dir .. "/run/files.run")
    end
  end)

  -- 16 KiB of a small disk are kept, and freed when it is full
  local JOURNAL = [[
    local path, taskclient = ..., require "taskclient"
    local ballast = assert(io.open(path .. ".ballast", "wb"))
    assert(ballast:write(("x"):rep(16384)) and ballast:close())
    local run, n, value, err = assert(taskclient.journal(path)), 0, nil, nil
    local function step(i)
      return run:step("step " .. i, function()
        n = n + 1
        return ("v"):rep(1000)
      end)
    end
    repeat value, err = step(n + 1) until not value
    print(err.kind, (run:step("one more", function() return 1 end)))
    local done = n - 1
    run:close()
    os.remove(path .. ".ballast")
    run, n = assert(taskclient.journal(path)), 0
    for i = 1, done do assert(step(i)) end
    assert(n == 0 and done > 20, "a step that was done is done again")
    assert(step(done + 1) and n == 1)]]

  it("goes for the journal of a run: what was told as done is in it, and no half of a record",
    function()
      if not has_small_disk() then return pending "no small disk can be made here" end
      local status, out, err = process.run({ "unshare", "-rm", "sh", "-c",
        "mount -t tmpfs -o size=64k none " .. dir .. '/out && exec "$@"', "sh", paths.lua, "-e",
        ("assert((loadstring or load)(%q))(%q)"):format(JOURNAL, dir .. "/out/a.run") },
        { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
      assert.equal(0, status, err)
      assert.equal("io\tnil\n", out)
    end)

  it("goes for a journal's path: devices, pipes and descriptors are no files", function()
    os.execute(("mkfifo %s/out/pipe; ln -s /proc/self/fd/1 %s/out/stdout"):format(dir, dir))
    for _, path in ipairs { "/dev/full", "/dev/null", dir .. "/out", dir .. "/out/pipe",
      dir .. "/out/stdout" } do
      local status, out, err = process.run({ paths.lua, "-e", ("print(select(2, "
        .. "require'taskclient'.journal %q).kind)"):format(path) },
        { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
      assert.equal(0, status, err)
      assert.equal("io\n", out, path)
    end
  end)
end)
