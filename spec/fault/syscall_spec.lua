-- A system call that fails in the middle of a submit and of a save: no crash, no
-- hang, no second submit, no half a file (F36, F46, F47). A sample here; every
-- call of the session with TASKCLIENT_TORTURE=1.

local cjson = require "cjson"
local fault = require "spec.support.fault"
local process = require "spec.support.process"

local TORTURE = os.getenv "TASKCLIENT_TORTURE"
local NETWORK, FILES = { "EINTR", "ECONNRESET", "ENOMEM" }, { "EINTR", "ENOSPC", "EIO" }
local CALLS = {
  socket = { "EMFILE", "ENOMEM" }, connect = NETWORK, sendto = NETWORK, recvfrom = NETWORK,
  epoll_ctl = { "ENOMEM", "ENOSPC" }, epoll_wait = { "EINTR" }, getsockopt = { "ENOMEM" },
  write = FILES, pwrite64 = FILES, fsync = FILES, fdatasync = FILES, rename = FILES,
  renameat2 = FILES, link = FILES, openat = { "EINTR", "ENOSPC", "EMFILE" }, close = FILES,
}
local CONTENT = "id,name\r\n1,a\r\n2,b\r\n"

local function data(value) return fault.linkis((cjson.encode(value):gsub("\\/", "/"))) end

local EXEC = "exec_id018017linkis-cg-entrance127.0.0.1:9104IDE_hadoop_sql_1"

-- the task's list shows the key that came with the submit, so it can be found
local function rules(key)
  local source = cjson.encode { ["taskclient.key"] = key }
  return {
    { match = "/submit", reply = data { execID = EXEC, taskID = 12 } },
    { match = "/jobhistory/%d+/get", reply = data { task = { taskID = 12, status = "Succeed",
      resultLocation = "file:///result/12", strongerExecId = EXEC } } },
    { match = "/jobhistory/list", reply = data { totalPage = 1, tasks = {
      { taskID = 12, status = "Succeed", sourceJson = source } } } },
    { match = "/getDirFileTrees", reply = data { dirFileTrees = { name = "12", children = { {
      name = "_0.dolphin", path = "file:///result/12/_0.dolphin", isLeaf = true } } } } },
    { match = "/openFile", reply = data { type = "2", totalPage = 0, totalLine = 2,
      metadata = { { columnName = "id", dataType = "int", comment = "" },
                   { columnName = "name", dataType = "string", comment = "" } },
      fileContent = { { "1", "a" }, { "2", "b" } } } },
    default = { { "read" }, { "send", fault.linkis {} } },
  }
end

describe("a system call that fails", function()
  local fs, dir
  setup(function() fs, dir = fault.start(), process.tempdir() end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local function names()
    local list = {}
    for name in pairs(CALLS) do list[#list + 1] = name end
    table.sort(list)
    return table.concat(list, ",")
  end

  local function slurp(path)
    local file = io.open(path, "rb")
    local text = file and file:read "*a"
    if file then file:close() end
    return text
  end

  local number = 0
  local function session(strace)
    number = number + 1
    local folder = ("%s/%d"):format(dir, number)
    os.execute("mkdir " .. folder)
    fs:script(rules "no such key")
    local argv = { "strace", "-qq", "-o", dir .. "/trace", "-e", "trace=" .. names() }
    for _, word in ipairs(strace) do argv[#argv + 1] = word end
    for _, word in ipairs { "lua5.4", "spec/support/syscall_session.lua", fs.url,
                            folder .. "/rows.csv" } do argv[#argv + 1] = word end
    local code, out, err = process.run(argv, { timeout = 60,
      env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
    local submitted, saved = out:match "^([^\n]*)\n([^\n]*)\n$"
    return { code = code, submitted = submitted, saved = saved, err = err, folder = folder,
             posts = #fs:requests "^POST .*/submit" }
  end

  -- name -> the numbers of its calls between the two marks
  local function inventory()
    local counts, found, inside = {}, {}, false
    for line in io.lines(dir .. "/trace") do
      local name = line:match "^([%w_]+)%("
      if line:find('"/taskclient-begins"', 1, true) then inside = true end
      if line:find('"/taskclient-ends"', 1, true) then break end
      if name and CALLS[name] then
        counts[name] = (counts[name] or 0) + 1
        found[name] = found[name] or {}
        if inside and not line:find("/taskclient-begins", 1, true) then
          table.insert(found[name], counts[name])
        end
      end
    end
    return found
  end

  local function check(run, what)
    assert.equal(0, run.code, what .. ": " .. run.err)
    assert.is_true(run.posts <= 1, what .. ": " .. run.posts .. " submits")
    if run.submitted:find "not_sent" then assert.equal(0, run.posts, what) end
    if run.submitted == "12" then assert.equal(1, run.posts, what) end
    local content = slurp(run.folder .. "/rows.csv")
    if run.saved and run.saved:match "^%d+$" then
      assert.equal(CONTENT, content, what)
    else
      assert.is_true(content == nil or content == CONTENT, what) -- only its fsync may have failed
    end
    local left = io.popen("ls -A " .. run.folder):read "*a"
    assert.equal(content and "rows.csv\n" or "", left, what)
  end

  -- of a list one for each of several errors, from the first to the last; or all
  local function some(list, i, errors)
    if TORTURE or #list == 0 then return list end
    return { list[1 + (i - 1) * (#list - 1) // math.max(1, errors - 1)] }
  end

  it("is an error of the call in question, at most", function()
    local whole = session {}
    assert.equal("12", whole.submitted, whole.err)
    assert.equal("2", whole.saved)
    check(whole, "nothing fails")
    local tried = 0
    for name, numbers in pairs(inventory()) do
      for i, err in ipairs(CALLS[name]) do
        for _, n in ipairs(some(numbers, i, #CALLS[name])) do
          local injection = ("%s:error=%s:when=%d"):format(name, err, n)
          check(session { "-e", "inject=" .. injection }, injection)
          tried = tried + 1
        end
      end
    end
    assert.is_true(tried > 20, tried .. " tried")
  end)

  -- a host's threads share its handlers: libcurl would change them back and forth
  it("is not guarded against by changing what SIGPIPE does; sockets are kept alive", function()
    fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
    local code = ([[
      local wire = require "spec.support.wire"
      for _ = 1, 3 do assert(wire.read(wire.linkis "%s")) end]]):format(fs.url)
    local status, _, err = process.run({ "strace", "-f", "-e", "trace=rt_sigaction,setsockopt",
      "lua5.4", "-e", code },
      { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath }, timeout = 60 })
    assert.equal(0, status, err)
    assert.truthy(err:find("rt_sigaction", 1, true), err)
    assert.is_nil(err:find("SIGPIPE", 1, true), err)
    for _, option in ipairs { "SO_KEEPALIVE", "TCP_NODELAY" } do
      assert.truthy(err:find(option .. ", [1]", 1, true), err)
    end
  end)

  -- in a process of its own, where the signal would be the end
  it("because the peer has left is no signal for us", function()
    fs:script { default = { { "read", 100 }, { "rst" } } }
    local code = ([[
      local wire = require "spec.support.wire"
      local client = wire.linkis "%s"
      for _ = 1, 20 do
        local value, err = wire.call(client, "submit", { body = '"' .. ("x"):rep(4000000) .. '"' })
        assert(not value and err.kind == "network" and err.outcome == "unknown", err.kind)
      end]]):format(fs.url)
    local status, _, err = process.run({ "lua5.4", "-e", code },
      { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath }, timeout = 60 })
    assert.equal(0, status, err)
    assert.equal(20, #fs:requests "^POST")
  end)
end)
