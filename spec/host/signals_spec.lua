-- SIGTERM and SIGHUP, as an orchestrator, timeout(1) or a closed terminal sends them, during a
-- wait: what becomes of the jobs, and with which exit code the script ends.

local process = require "spec.support.process"
local servers = require "spec.support.server"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local CODES = { TERM = 143, HUP = 129 }
local LUAS = { "lua5.4", "lua5.1", "luajit" }

local PRELUDE = [[
  local taskclient = require "taskclient"
  local client = assert(taskclient.linkis())
  local job = assert(client:submit { code = "sleep 60", run_type = "shell", engine = "shell-1" })
  print(job.id) io.stdout:flush()
  io.stdout:setvbuf "full"
  local function poll() io.stderr:write "begun\n" return 0.2 end
  local function watch(choice) return job:wait { poll = poll, on_interrupt = choice } end
]]

local function here(lua)
  local file = io.open("build/" .. lua .. "/taskclient/core.so")
  if file then file:close() end
  return file and os.execute("command -v " .. lua .. " >/dev/null")
end

local function has(lua, module)
  local found = os.execute(("%s -e 'require \"%s\"' 2>/dev/null"):format(lua, module))
  return found == true or found == 0
end

describe("a signal that asks a script to end", function()
  local dir, server, client

  setup(function()
    dir, server = process.tempdir(), servers.linkis()
    client = assert(taskclient.linkis { url = server.url, user = server.user,
      password = server.password })
  end)
  teardown(function()
    client:close()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local function start(lua, text, before)
    local path = dir .. "/script.lua"
    local file = assert(io.open(path, "w"))
    file:write(PRELUDE, text)
    file:close()
    local child = process.start({ "sh", "-c", (before or "") .. ' exec "$0" "$1"', lua, path }, {
      env = { LUA_PATH = "./lua/?.lua;./lua/?/init.lua;;", LUA_CPATH = "./build/" .. lua
        .. "/?.so;;", TASKCLIENT_LINKIS_URL = server.url, TASKCLIENT_LINKIS_USER = server.user,
        TASKCLIENT_LINKIS_PASSWORD = server.password } })
    wait.eventually(function() return child:err():find "begun" end, 20, "the wait")
    return child, tonumber(child:out():match "%d+")
  end

  -- The exit code, the job's state, and what the script has written.
  local function ended(child, id)
    child:wait(30)
    local code, out, said = child:code(), child:out(), child:err()
    child:stop()
    local job = client:attach(id)
    local state = job:status()
    job:abort()
    return code, state, out, said
  end

  for _, lua in ipairs(LUAS) do
    for name, exit in pairs(CODES) do
      it(("stops the job where that was chosen, then ends the script: %s, SIG%s"):format(lua, name),
        function()
          if not here(lua) then return pending(lua .. " is not here") end
          local child, id = start(lua, "print 'kept' watch 'abort' print 'not reached'")
          child:signal(name)
          local code, state, out, said = ended(child, id)
          assert.equal("cancelled", state)
          assert.equal(exit, code)
          assert.matches("abort sent", said)
          assert.matches("kept\n$", out) -- what was buffered is written
        end)
    end

    it("calls the function, which may choose the exit code: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      local child, id = start(lua,
        "watch(function(jobs) io.stderr:write('jobs ', #jobs, '\\n') os.exit(7) end)")
      child:signal "TERM"
      local code, state, _, said = ended(child, id)
      assert.equal("running", state)
      assert.equal(7, code)
      assert.matches("jobs 1", said)
    end)

    it("stops the jobs of every task of taskclient.run: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      local child, id = start(lua, [[taskclient.run(function()
        taskclient.spawn(function() taskclient.sleep(60) end)
        taskclient.spawn(watch, 'abort')
      end)]])
      child:signal "TERM"
      local code, state = ended(child, id)
      assert.equal("cancelled", state)
      assert.equal(143, code)
    end)

    it("ends a script at once that has chosen nothing: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      local child, id = start(lua, "watch()")
      child:signal "TERM"
      local code, state = ended(child, id)
      assert.equal("running", state)
      assert.equal(143, code)
    end)

    it("is the script's again when the wait has ended: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      local child, id = start(lua, [[
        job:wait { poll = 0.2, timeout = 0.5, on_interrupt = "abort" }
        io.stderr:write "begun\n"
        taskclient.sleep(60)]])
      child:signal "TERM"
      local code, state = ended(child, id)
      assert.equal("running", state)
      assert.equal(143, code)
    end)

    it("stays ignored where it is, as under nohup: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      local child, id = start(lua, [[
        local looks = 0
        job:wait { on_interrupt = "abort", timeout = 60, on_progress = function()
          if looks > 2 then os.exit(3) end
        end, poll = function()
          looks = looks + 1
          return poll()
        end }]], "trap '' HUP;")
      child:signal "HUP"
      local code, state = ended(child, id)
      assert.equal("running", state)
      assert.equal(3, code)
    end)

    it("is not seen in a text of the user's own: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      for _, text in ipairs { "'download interrupted!'", "'interrupted!'", "'x:1: interrupted!', 0",
        "'interrupted!', 0", "{ kind = 'interrupted' }" } do
        local child, id = start(lua, "job:wait { on_interrupt = 'abort', poll = poll, "
          .. "on_progress = function() error(" .. text .. ") end }")
        local code, state, _, said = ended(child, id)
        assert.equal("running", state, text)
        assert.equal(1, code, text)
        assert.is_nil(said:find("abort sent", 1, true))
      end
    end)
  end

  local LOOPS = {
    cqueues = "local queue = require 'cqueues'.new() queue:wrap(go) queue:loop()",
    copas = "local copas = require 'copas' copas.addthread(go) copas.loop()",
    luv = "require 'luv' go()",
  }

  for host, loop in pairs(LOOPS) do
    it("is noticed in another event loop: " .. host, function()
      local lua = host == "copas" and "luajit" or "lua5.4"
      if not has(lua, host) then return pending(host .. " is not here") end
      local child, id = start(lua, ([[
        local other = assert(taskclient.linkis { host = "%s" })
        local function go()
          other:attach(job:handle()):wait { poll = poll, on_interrupt = "abort" }
        end
        %s]]):format(host, loop))
      child:signal "TERM"
      local code, state = ended(child, id)
      assert.equal("cancelled", state)
      assert.equal(143, code)
    end)
  end

  it("is handed on to a handler of the program's own, which decides", function()
    if not has("lua5.4", "luv") then return pending "luv is not here" end
    local child, id = start("lua5.4", [[
      local uv = require "luv"
      local signal = uv.new_signal()
      signal:start("sigterm", function()
        io.stderr:write "the program's own\n"
        os.exit(5)
      end)
      local fine, err = pcall(watch, "abort")
      io.stderr:write(tostring(fine), " ", err.kind, " ", err.signal, "\n")
      uv.run()]])
    child:signal "TERM"
    local code, state, _, said = ended(child, id)
    assert.equal("cancelled", state)
    assert.equal(5, code)
    assert.matches("false interrupted SIGTERM\nthe program's own", said)
  end)
end)
