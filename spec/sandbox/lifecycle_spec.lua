-- The sandbox starts, answers, and leaves nothing: no process, no file, whoever dies first.

local cjson = require "cjson"
local http = require "spec.sandbox.http"
local process = require "spec.support.process"
local sandbox = require "taskclient.sandbox"
local wait = require "spec.support.wait"

local ROOT = io.popen("pwd"):read "*l"

local left = {} -- what a test has started

local function exists(path)
  return os.execute("test -e " .. process.quote(path)) == true
end

local function alive(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  if not file then return false end
  local state = (file:read "*a" or "Z"):match "^%d+ %(.-%) (%a)"
  file:close()
  return state and state ~= "Z"
end

-- Pids of all processes whose command line or environment names the folder.
local function users_of(dir)
  local pids = {}
  local pipe = io.popen("grep -lsaF " .. process.quote(dir)
    .. " /proc/[0-9]*/cmdline /proc/[0-9]*/environ")
  for path in pipe:lines() do
    local pid = tonumber(path:match "%d+")
    if alive(pid) then pids[#pids + 1] = pid end
  end
  pipe:close()
  return pids
end

local function all_gone(dir, pids)
  wait.eventually(function()
    for _, pid in ipairs(pids) do
      if alive(pid) then return false end
    end
    return not exists(dir)
  end, 10, "the end of all processes and of " .. dir)
end

local function answers(box)
  local _, code = http.curl { box.url .. "/" }
  local _, other = http.curl { box.lindorm_url .. "/" }
  return code ~= 0 and other ~= 0
end

-- A sandbox that ends with its test, however that ends.
local function start(options)
  local box = assert(sandbox.start(options))
  left[#left + 1] = box
  return box
end

-- A script of its own that runs a sandbox with a long job in it and waits; `how` goes before it.
local SCRIPT = [[
package.path = ROOT .. "/lua/?.lua;" .. ROOT .. "/lua/?/init.lua;" .. package.path
local box = assert(require("taskclient.sandbox").start())
print(box.dir) print(box.url) print(box.token) print(box.pid) print(box.engine_pid) print "ready"
io.stdout:flush()
while true do io.popen("sleep 0.2"):close() end
]]

local function start_script(...)
  local words = { ... }
  words[#words + 1] = "-e"
  words[#words + 1] = ("ROOT = %q\n"):format(ROOT) .. SCRIPT
  local child = process.start(words)
  left[#left + 1] = child
  wait.eventually(function() return child:out():find "ready" or child:code() end, 20,
    "the script's sandbox")
  local dir, url, token, pid, engine = child:out():match "^(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n"
  assert(dir, child:err())
  local box = { dir = dir, url = url, token = token, user = "hadoop", pid = pid,
    engine_pid = engine }
  local job = http.submit(box, "sleep 1000 & sleep 1001", "shell", "shell-1")
  wait.eventually(function()
    for _, user in ipairs(users_of(dir)) do
      local command = io.open("/proc/" .. user .. "/cmdline")
      local text = command and command:read "*a" or ""
      if command then command:close() end
      if text:find("sleep%z1001") then return true end
    end
  end, 10, "the long job " .. job.taskID)
  return child, box, users_of(dir)
end

describe("sandbox", function()
  after_each(function()
    for _, started in ipairs(left) do started:stop() end
    left = {}
  end)

  it("starts, answers on both faces, and leaves nothing after stop", function()
    local box = start()
    assert.is_true(answers(box))
    assert.is_true(exists(box.dir))
    local pids = users_of(box.dir)
    assert.is_true(#pids >= 2)
    box:stop()
    all_gone(box.dir, pids)
    assert.is_true(box:stop())
    assert.has_error(function() box:set { delay = 1 } end)
  end)

  it("runs twice at once", function()
    local one, other = start(), start()
    assert.are_not.equal(one.url, other.url)
    assert.is_true(answers(one))
    one:stop()
    assert.is_true(answers(other))
    other:stop()
  end)

  it("keeps its state in a folder it is given, and marks what was cut off", function()
    local dir = process.tempdir() .. "/deep/state"
    local box = start { dir = dir }
    local done = http.submit(box, "echo kept", "shell", "shell-1")
    wait.eventually(function() return http.task(box, done.taskID).status == "Succeed" end)
    local cut = http.submit(box, "sleep 1000", "shell", "shell-1")
    wait.eventually(function() return http.task(box, cut.taskID).status == "Running" end)
    box:stop()
    box = start { dir = dir }
    assert.are.equal("Succeed", http.task(box, done.taskID).status)
    local task = http.task(box, cut.taskID)
    assert.are.equal("Cancelled", task.status)
    assert.are.equal(cjson.null, task.errCode)
    local again, err = sandbox.start { dir = dir }
    assert.is_nil(again)
    assert.matches("in use", tostring(err))
    box:stop()
    assert.is_true(exists(dir .. "/state.sqlite"))
    os.execute("rm -rf " .. process.quote((dir:gsub("/deep/state$", ""))))
  end)

  -- Anybody on the machine reaches the ports, and whoever logs in runs shell code.
  it("is opened by no password or token that can be guessed", function()
    local one, other = start(), start { users = { ada = "given" } }
    for _, name in ipairs { "password", "token" } do
      assert.matches("^%x+$", one[name])
      assert.is_true(#one[name] >= 24)
    end
    assert.are_not.equal(one.token, other.token)
    assert.are.same({ "hadoop", "ada", "given" }, { one.user, other.user, other.password })
    local function submit(code)
      return http.curl { one.url .. "/api/rest_j/v1/entrance/submit", "-H", "Token-Code: " .. code,
        "-H", "Token-User: hadoop", "-H", "Content-Type: application/json", "-d",
        '{"executionContent":{"code":"id","runType":"shell"},"labels":{"engineType":"shell-1",'
          .. '"userCreator":"hadoop-spec"}}' }
    end
    for _, guess in ipairs { "LINKIS-UNAVAILABLE-TOKEN", "hadoop", other.token } do
      assert.is_falsy(submit(guess):find('"taskID"', 1, true), guess)
    end
    assert.is_truthy(submit(one.token):find('"taskID"', 1, true))
    local mode = io.popen("stat -c %a " .. one.dir .. "/state.sqlite")
    assert.are.equal("600", mode:read "*l")
    mode:close()
  end)

  it("keeps the random password and token of a folder that is used again", function()
    local dir = process.tempdir()
    finally(function() os.execute("rm -rf " .. process.quote(dir)) end)
    local box = start { dir = dir }
    local password, token = box.password, box.token
    box:stop()
    box = start { dir = dir }
    assert.are.same({ password, token }, { box.password, box.token })
    box:stop()
    box = start { dir = dir, users = { ada = "new" } }
    assert.are.same({ "ada", "new", token }, { box.user, box.password, box.token })
  end)

  -- A web page whose name leads to 127.0.0.1 would else submit code from the user's browser.
  it("answers to the names of this machine only, and to no form of another site", function()
    local box = start()
    local faces = { box.url .. "/api/rest_j/v1/user/publicKey",
      box.lindorm_url .. "/pro/proc/x/info" }
    for _, face in ipairs(faces) do
      local port = face:match ":(%d+)/"
      local function code(...) return select(2, http.curl { face, "-H", ... }) end
      for _, host in ipairs { "evil.example:" .. port, "evil.example", "127.0.0.1.evil.example",
        "localhost.evil.example:" .. port, "127.1:" .. port, "x" } do
        assert.are.equal(421, code("Host: " .. host), host)
      end
      for _, host in ipairs { "127.0.0.1:" .. port, "localhost:" .. port, "LocalHost",
        "[::1]:" .. port, "127.0.0.1:1", "a.localhost:" .. port } do
        assert.are.equal(200, code("Host: " .. host), host)
      end
      assert.are.equal(200, code("Host:", "-0")) -- HTTP/1.0 has none
      assert.are.equal(200, code "Origin: http://localhost:3000")
    end
    for _, origin in ipairs { "http://evil.example", "null", "http://localhost.evil.example" } do
      local _, code = http.curl { faces[2], "-H", "Origin: " .. origin }
      assert.are.equal(403, code, origin)
    end
  end)

  it("uses the ports it is given, and says so when one is taken", function()
    local first = start()
    local port = first.port
    local none, err = sandbox.start { port = port }
    assert.is_nil(none)
    assert.matches("in use", tostring(err))
    first:stop()
    local second = start { port = port }
    assert.are.equal("http://127.0.0.1:" .. port, second.url)
    second:stop()
  end)

  it("can lose its server process and get it back, with the jobs going on", function()
    local box = start()
    local job = http.submit(box, "sleep 0.5; echo on", "shell", "shell-1")
    box:kill_server()
    local _, code = http.curl { box.url .. "/" }
    assert.are.equal(0, code)
    box:resume_server()
    assert.is_true(answers(box))
    wait.eventually(function() return http.task(box, job.taskID).status == "Succeed" end)
    box:stop()
  end)

  for _, signal in ipairs { "KILL", "TERM", "INT" } do
    it("ends with its script on SIG" .. signal, function()
      local child, box, pids = start_script "lua5.4"
      child:signal(signal)
      all_gone(box.dir, pids)
    end)
  end

  it("ends when the process group of its script is interrupted", function()
    local child, box, pids = start_script("setsid", "lua5.4")
    local group = io.popen("ps -o pgid= -p " .. child.pid):read "*n"
    assert.are_not.equal(io.popen "ps -o pgid= -p $$":read "*n", group)
    os.execute(("kill -INT -%d"):format(group))
    all_gone(box.dir, pids)
  end)

  for _, who in ipairs { "pid", "engine_pid" } do
    it("ends when its own process dies: " .. who, function()
      local _, box, pids = start_script "lua5.4"
      os.execute("kill -KILL " .. box[who])
      all_gone(box.dir, pids)
    end)
  end

  for _, interpreter in ipairs { "lua5.1", "luajit", "lua5.2", "lua5.3" } do
    if os.execute("command -v " .. interpreter .. " >/dev/null") == true then
      it("starts from " .. interpreter, function()
        local child, box, pids = start_script(interpreter)
        child:signal "KILL"
        all_gone(box.dir, pids)
      end)
    end
  end

  it("does not mind where its script finds modules of another Lua", function()
    local dir = process.tempdir()
    finally(function() os.execute("rm -rf " .. process.quote(dir)) end)
    for _, name in ipairs { "cjson", "luv" } do
      assert(io.open(("%s/%s.so"):format(dir, name), "w")):close()
    end
    local script = [[
      local box = assert(require "taskclient.sandbox".start())
      local pipe = io.popen("curl -s " .. box.url .. "/api/rest_j/v1/user/publicKey")
      assert(pipe:read "*a":find '"status":0')]]
    for interpreter, cpath in pairs {
      luajit = dir .. "/?.so;;", ["lua5.4"] = package.cpath,
    } do
      local code, _, err = process.run({ interpreter, "-e", script }, { env = {
        LUA_PATH = ROOT .. "/lua/?.lua;" .. ROOT .. "/lua/?/init.lua", LUA_CPATH = cpath } })
      assert.are.equal(0, code, err)
    end
  end)

  it("does not mind spaces and other letters where it lies, nor where its state does", function()
    local dir = process.tempdir() .. "/it's {a} ß"
    finally(function() os.execute("rm -rf " .. process.quote((dir:gsub("/[^/]*$", "")))) end)
    local quoted = process.quote(dir)
    assert(os.execute(("mkdir %s && cp -R lua %s && ln -s %s %s/build"):format(quoted, quoted,
      process.quote(ROOT .. "/build"), quoted)))
    local script = "assert(require('taskclient.sandbox').start { dir = arg[1] }):stop() print 'ran'"
    local code, out, err = process.run({
      "sh", "-c", 'echo "$2" >"$1/s.lua"; lua5.4 "$1/s.lua" "$1"', "sh", dir, script,
    }, { env = {
      LUA_PATH = dir .. "/lua/?.lua;" .. dir .. "/lua/?/init.lua", LUA_CPATH = package.cpath } })
    assert.are.equal(0, code, err)
    assert.are.equal("ran\n", out)
    assert.is_true(exists(dir .. "/state.sqlite"))
    local _, why = sandbox.start { dir = 'a"b' }
    assert.matches('may hold none of " \\ %$: a"b', tostring(why))
    assert.is_false(exists 'a"b')
  end)

  it("prints what its user needs when run by hand, and stops on Ctrl-C", function()
    local child = process.start { "lua5.4", "-e",
      ("package.path = %q\nrequire('taskclient.sandbox').main()"):format(
        ROOT .. "/lua/?.lua;" .. ROOT .. "/lua/?/init.lua;" .. package.path) }
    left[#left + 1] = child
    wait.eventually(function() return child:out():find "Ctrl%-C" or child:code() end, 20)
    local text = child:out()
    assert.matches("Linkis%s+http://127.0.0.1:%d+", text)
    assert.matches("Lindorm%s+http://127.0.0.1:%d+", text)
    assert.matches("user%s+hadoop%s+password%s+%x+%s+token%s+%x+", text)
    assert.matches("runs code as you", text)
    assert.matches("export TASKCLIENT_LINKIS_URL=http://127", text)
    assert.matches('source%s+"landing" is this folder', text)
    local dir = text:match "state%s+(%S+)"
    local pids = users_of(dir)
    child:signal "INT"
    all_gone(dir, pids)
    assert.are.equal(0, child:wait(10))
    assert.matches("stopped\n$", child:out())
    child:stop()
  end)

  it("says what to install when something is missing", function()
    local text_of = "package.path = %q\nprint(select(2, require('taskclient.sandbox').start()))"
    local script = text_of:format(
      ROOT .. "/lua/?.lua;" .. ROOT .. "/lua/?/init.lua;" .. package.path)
    local _, text = process.run({ "lua5.4", "-e", script },
      { env = { TASKCLIENT_SANDBOX_LUA = "no-such-lua" } })
    assert.matches("apt%-get install lua5.4", text)
    _, text = process.run({ "lua5.4", "-e", script },
      { env = { TASKCLIENT_NGINX = "/no/such/nginx" } })
    assert.matches("nginx", text)
    _, text = process.run({ "lua5.4", "-e", script },
      { env = { LUA_CPATH_5_4 = "/no/?.so", LUA_CPATH = "/no/?.so" } })
    assert.matches("lua%-luv", text)
  end)

  it("raises on misuse", function()
    assert.error_matches(function() sandbox.start { ports = 1 } end,
      "'start' %(unknown option 'ports'; did you mean 'port'%?%)")
    assert.error_matches(function() sandbox.start { port = "1" } end,
      "option 'port': .* got string")
    assert.error_matches(function() sandbox.start(1) end, "table of options expected, got 1")
    assert.error_matches(function() sandbox.start { settings = { dely = 1 } } end,
      "unknown setting 'dely'; did you mean 'delay'%?")
    assert.error_matches(function() sandbox.start { lindorm = { surces = {} } } end,
      "did you mean 'sources'%?")
    assert.error_matches(function() sandbox.start { users = { "hadoop" } } end, "'users'")
    local box = start()
    assert.error_matches(function() box:set { delay = "1" } end,
      "setting 'delay': number expected, got string")
    assert.error_matches(function() box:set { version = "9" } end, "unknown version '9'")
    assert.error_matches(function() box:query() end, "sql: non%-empty string expected")
    local ok, why = pcall(box.set, box, { submit_dely = 1 })
    assert.is_false(ok)
    assert.matches("unknown setting 'submit_dely'; did you mean 'submit_delay'%?", tostring(why))
    box:stop()
  end)
end)
