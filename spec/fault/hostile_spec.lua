-- What callers (or a server's earlier answers) pass in cannot bend a request:
-- refused before a byte is sent, or sent as the template says (F26, F27, F28, F44).

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local wire = require "spec.support.wire"

local IDS = {
  "", ".", "..", "a/b", "../../admin", "a/../b", "a%2fb", "%2e%2e", "a?b=1", "a#b", "a b", "a\tb",
  "a\r\nX: 1", "a\nb", "a\0b", "a\\b", "a;b", "a&b", "a=b", "\195\164", "\255", "a\127b",
  ("x"):rep(100000), "{id}", "a@b", "[::1]", "a,b", "a'b", 'a"b', "a<b", "a|b", "a^b", "a`b",
  "$(a)",
}

describe("a server's text in an error", function()
  it("is UTF-8 that no terminal takes for a command", function()
    local fs = fault.start()
    for bytes, shown in pairs {
      ["\224\128\128"] = "???", ["\237\160\128"] = "???", ["\244\144\128\128"] = "????",
      ["\240\128\128\128"] = "????", ["\255\214\208"] = "???", ["\194\15531m"] = " 31m",
      ["\27[31m"] = " [31m", ["\0\127"] = "  ", ["\228\184\173\240\159\152\128\195\164"]
        = "\228\184\173\240\159\152\128\195\164",
    } do
      fs:script { default = { { "read" }, { "send", fault.http(500, "no " .. bytes .. ".") } } }
      local _, err = wire.read(wire.linkis(fs.url))
      assert.equal("get: no " .. shown .. ".", err.message)
      assert.equal("no " .. shown .. ".", err.body)
    end
    fs:stop()
  end)
end)

describe("a hostile", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function()
    fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
    client = wire.linkis(fs.url)
  end)

  -- refused: raised or nil, err; either way nothing may have been sent
  local function refused(fn, ...)
    local ok, value, err = pcall(fn, ...)
    assert.is_true(not ok or (value == nil and err ~= nil), "was not refused")
  end

  it("id is refused before a connection is made", function()
    for _, id in ipairs(IDS) do
      for _, operation in ipairs { "get", "status", "kill", "log" } do
        refused(wire.call, client, operation, { id = id })
      end
    end
    assert.equal(0, #fs:journal())
  end)

  it("id of any other byte is refused, and the plain ones go out as they are", function()
    for byte = 0, 255 do
      local char = string.char(byte)
      if not char:match "[%w._:%-]" then
        refused(wire.call, client, "get", { id = "a" .. char .. "b" })
      end
    end
    assert.equal(0, #fs:journal())
    local id = "exec_id018017h10.0.0.1:9104IDE_a-b_sql_1"
    assert(wire.call(client, "status", { id = id }))
    assert.equal("/api/rest_j/v1/entrance/" .. id .. "/status", fs:requests()[1].target)
  end)

  it("Lindorm id stays one segment of the path", function()
    fs:script { default = { { "read" }, { "send", fault.lindorm { data = { a = 1 } } } } }
    local lindorm = wire.lindorm(fs.url)
    local sent = 0
    for _, id in ipairs(IDS) do
      local ok, value = pcall(wire.call, lindorm, "info", { id = id })
      if ok and value then sent = sent + 1 end
    end
    assert.is_true(sent > 5)
    for _, entry in ipairs(fs:requests()) do
      assert.truthy(entry.target:match "^/pro/proc/[%w._~%%:%-]+/info$", entry.target)
      assert.is_nil(entry.target:match "^/pro/proc/%.%.?/", entry.target)
    end
  end)

  it("query value is encoded and stays one value", function()
    local paths = { "a&b=c", "a#b", "a b", "a+b", "a%41", "\228\184\173", "a\r\nX: 1", "?" }
    for _, path in ipairs(paths) do
      fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
      wire.call(client, "openLog", { path = path })
      local seen = fs:requests()
      if #seen > 0 then
        local encoded = seen[1].query:match "^path=([%w._~%%/:+%-]*)$"
        assert.truthy(encoded, seen[1].target)
        assert.equal(path, (encoded:gsub("%%(%x%x)", function(hex)
          return string.char(tonumber(hex, 16))
        end)))
      end
    end
  end)

  it("header, cookie or agent is refused before a byte is sent", function()
    for byte = 0, 127 do
      if (byte < 32 and byte ~= 9) or byte == 127 then
        for _, value in ipairs { "%sab", "a%sb", "ab%s" } do
          value = value:gsub("%%s", (string.char(byte):gsub("%%", "%%%%")))
          local options = {
            { headers = { { "X-A", value } } },
            { headers = { { "X-A", wire.core.secret(value) } } },
            { headers = { { "X" .. value, "a" } } },
            { cookie = value }, { user_agent = value },
          }
          for _, option in ipairs(options) do refused(wire.linkis, fs.url, option) end
        end
      end
    end
    assert.equal(0, #fs:requests())
  end)

  it("URL is refused", function()
    for _, url in ipairs {
      "", "127.0.0.1", "127.0.0.1:9001", "ftp://127.0.0.1/", "file:///etc/passwd", "//127.0.0.1",
      "http://", "http://user:secret@127.0.0.1/", "http://127.0.0.1:99999/",
      "http://127.0.0.1:0/", "http:///x", "http://:80/", "http://127.0.0.1/a/../b",
      "http://127.0.0.1/?q=1", "http://127.0.0.1/#f", "http://127.0.0.1/a b", "http://a\r\nb/",
      "http://127.0.0.1/\0", "gopher://127.0.0.1",
    } do
      local ok, value = pcall(wire.linkis, url)
      assert.is_false(ok and value ~= nil, url)
    end
  end)

  it("address in a reply is never connected to", function()
    local trap = fault.start()
    trap:script { default = { { "fin" } } }
    local there = trap.url:gsub("^http://", "")
    local task = { taskID = 7, status = "Succeed", instance = there, logPath = trap.url .. "/log",
      resultLocation = trap.url .. "/results", strongerExecId = (
        "exec_id018%03dlinkis-cg-entrance%sIDE_hadoop_sql_0"):format(#there, there) }
    local tree = { dirFileTrees = { name = "7", children = { { name = "_0.dolphin", isLeaf = true,
      path = trap.url .. "/results/_0.dolphin" } } } }
    fs:script {
      { match = "/7/get", reply = fault.linkis { task = task } },
      { match = "/getDirFileTrees", reply = fault.linkis(tree) },
      default = { { "read" }, { "send", fault.linkis { gatewayList = { there } } } },
    }
    local job = require("taskclient").linkis { url = fs.url, user = "u", token = "t" }:attach(7)
    assert.equal("succeeded", (job:wait()))
    job:logs():read()
    local sets = assert(job:results())
    sets[1]:columns()
    sets[1]:count()
    job:progress()
    job:abort()
    assert.is_true(#fs:requests "^GET " >= 4)
    assert.equal(0, #trap:journal())
    trap:stop()
  end)

  it("path or name in a record raises nothing", function()
    for _, evil in ipairs { "a\0b", ("é"):rep(180000), "\27]0;x\7" } do
      for _, status in ipairs { "Failed", "Succeed", "Running" } do
        local task = { taskID = 7, status = status, instance = evil, logPath = evil,
          resultLocation = evil, strongerExecId = evil, execId = evil, progress = evil,
          errDesc = evil, engineType = evil }
        local tree = { children = { { name = evil .. "_0.dolphin", path = evil } } }
        fs:script {
          { match = "/7/get", reply = fault.linkis { task = task } },
          { match = "/getDirFileTrees", reply = fault.linkis { dirFileTrees = tree } },
          default = { { "read" }, { "send", fault.linkis {} } },
        }
        local job = require("taskclient").linkis { url = fs.url, user = "u", token = "t" }:attach(7)
        job:wait { timeout = 0.2 }
        job:error()
        job:logs({ timeout = 0.2 }):read()
        for _, set in ipairs(job:results() or {}) do set:columns() end
        job:progress()
        if status ~= "Running" then job:abort() end -- it waits for an id to kill by
        job:retry()
        assert.is_nil(tostring(job):find "[%c]")
      end
    end
  end)

  it("argument of the wrong type or name raises and names itself", function()
    local function message(...)
      local ok, err = pcall(client.start, client, ...)
      assert.is_false(ok)
      return tostring(err)
    end
    assert.truthy(message("no-such", {}):find("no-such", 1, true))
    assert.truthy(message("get", { id = {} }):find("id", 1, true))
    assert.truthy(message("get", { id = "1", bogus = 1 }):find("bogus", 1, true))
    assert.truthy(message("get", {}):find("id", 1, true))
    for _, timeout in ipairs { 0 / 0, -1, "x", {} } do
      assert.truthy(message("get", { id = "1" }, { timeout = timeout }):find("timeout", 1, true))
    end
    assert.equal(0, #fs:journal())
  end)

  it("descriptor limit is an error of that call alone", function()
    fs:script { default = { { "read" }, { "hold", "gate" }, { "send", fault.linkis {} } } }
    local lua = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d.%d"
    local code = ([[
      package.path = "./lua/?.lua;./?.lua;" .. package.path
      package.cpath = "./%s/%s/?.so;" .. package.cpath
      local wire = require "spec.support.wire"
      local client = wire.linkis("%s", { max_connections = 200 })
      local calls, failed, fine = {}, 0, 0
      for i = 1, 100 do calls[i] = client:start("get", { id = tostring(i) }, { timeout = 3 }) end
      wire.finish(calls)
      for _, call in ipairs(calls) do
        local value, err = call:result()
        if value then fine = fine + 1
        else
          failed = failed + 1
          assert(err.kind == "network" or err.kind == "timeout" or err.kind == "memory", err.kind)
        end
      end
      calls = nil
      collectgarbage()
      local value, err = wire.read(client)
      io.write(("%%d %%d %%s"):format(failed, fine, tostring(value ~= nil)))]])
      :format(os.getenv "TASKCLIENT_BUILD" or "build", lua, fs.url)
    local child = process.start({ "sh", "-c", "ulimit -n 40; exec \"$0\" -e \"$1\"", lua, code })
    local released
    require("spec.support.wait").eventually(function()
      if not released and #fs:requests() >= 15 then
        fs:release "gate"
        released = true
      end
      return not child:running()
    end, 30, "the end of the limited process")
    local out, err, code_out = child:out(), child:err(), child:code()
    child:stop()
    assert.equal(0, code_out, err)
    local failed, fine, again = out:match "^(%d+) (%d+) (%a+)$"
    assert.equal("true", again)
    assert.is_true(tonumber(failed) > 0 and tonumber(fine) > 0, out)
  end)

  it("descriptor limit is an err also where a method is used for the first time", function()
    local lua = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d.%d"
    local code = ([[
      package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
      package.cpath = "./%s/%s/?.so;" .. package.cpath
      local taskclient = require "taskclient"
      local linkis = assert(taskclient.linkis { url = "%s", user = "u", token = "t" })
      local lindorm = assert(taskclient.lindorm { url = "%s" })
      local spec = { code = "select 1", run_type = "sql", engine = "spark-3.2.1" }
      local job, load, files = linkis:attach(1), lindorm:attach "proc-1", {}
      repeat files[#files + 1] = io.open "/dev/null" or false until not files[#files]
      local function kind(client, method, ...)
        return tostring(select(2, client[method](client, ...)).kind)
      end
      io.write(kind(linkis, "submit", spec), " ", kind(job, "wait", { timeout = 0 }), " ",
        kind(load, "wait", { timeout = 0 }), " ", kind(job, "results"), " ",
        kind(linkis:submit_many({ spec }, { timeout = 0.1 }), "read"))
      for _ in linkis:list {} do break end]])
      :format(os.getenv "TASKCLIENT_BUILD" or "build", lua, fs.url, fs.url)
    local child = process.start({ "sh", "-c", "ulimit -n 40; exec \"$0\" -e \"$1\"", lua, code })
    require("spec.support.wait").eventually(function() return not child:running() end, 30)
    local out, err = child:out(), child:err()
    child:stop()
    assert.equal("network timeout timeout network timeout", out, err)
    assert.is_nil(err:find "not found")
  end)
end)
