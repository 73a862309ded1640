-- The plain host: Ctrl-C in the stock interpreters within 300 ms at any
-- moment of a call, and what becomes of the jobs that are waited for.

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local LIMIT = 0.3
local SPARE = 0.5 -- a loaded machine, and the spec's own looking for the end

local PRELUDE = [[
  local taskclient = require "taskclient"
  local client = assert(taskclient.linkis())
  local function begun() io.stdout:write("begun\n") io.stdout:flush() end
  local function submit(code)
    return assert(client:submit { code = code, run_type = "shell", engine = "shell-1" })
  end
]]

local MOMENTS = {
  submit = "begun() submit 'x'",
  call = "begun() client:call('get', { id = '1' })",
  logs = "begun() for _ in client:attach(7):logs { follow = true } do end",
  sleep = "begun() taskclient.sleep(60)",
  task = "taskclient.run(function() begun() taskclient.sleep(60) end)",
}

local LUAS = { "lua5.4", "lua5.1", "luajit" }

local function here(lua)
  local file = io.open("build/" .. lua .. "/taskclient/core.so")
  if file then file:close() end
  return file and os.execute("command -v " .. lua .. " >/dev/null")
end

describe("Ctrl-C in a plain script", function()
  local dir, fs

  setup(function()
    dir, fs = process.tempdir(), fault.start()
    fs:script { default = { { "read" }, { "stall" } } }
  end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local function start(lua, text, env)
    local path = dir .. "/script.lua"
    local file = assert(io.open(path, "w"))
    file:write(PRELUDE, text)
    file:close()
    env.LUA_PATH = "./lua/?.lua;./lua/?/init.lua;;"
    env.LUA_CPATH = "./build/" .. lua .. "/?.so;;"
    return process.start({ lua, path }, { env = env })
  end

  -- begin() gives a child that is at the moment, and what else the spec wants of it;
  -- gives what the child said and the rest
  local function interrupt(begin)
    local said, child, id, client
    wait.within(LIMIT + SPARE, function()
      if client then client:attach(id):abort() client:close() end
      child, id, client = begin()
      local before = wait.now()
      child:signal "INT"
      child:wait(10)
      local seconds = wait.now() - before
      said = child:err()
      child:stop()
      assert.matches("interrupted!", said)
      return seconds
    end)
    return said, id, client
  end

  for _, lua in ipairs(LUAS) do
    for moment, text in pairs(MOMENTS) do
      it(("ends it at once: %s, %s"):format(lua, moment), function()
        if not here(lua) then return pending(lua .. " is not here") end
        interrupt(function()
          local asked = #fs:requests()
          local child = start(lua, text, { TASKCLIENT_LINKIS_URL = fs.url,
            TASKCLIENT_LINKIS_USER = "u", TASKCLIENT_LINKIS_TOKEN = "t" })
          wait.eventually(function()
            return child:out():find "begun" and (text:find "sleep" or #fs:requests() > asked)
          end, 20, "the moment")
          return child
        end)
      end)
    end

    it("says how to find the task of a submit that was cut off: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      for _, case in ipairs {
        { MOMENTS.submit, 'client:reconcile%("%x+"%)' },
        { "begun() taskclient.lindorm():submit { src = 'a', dst = 'b', file_type = 'CSV', "
          .. "instances = 1, reader = '{}', writer = '{}' }", "whether its load exists" },
      } do
        local said = interrupt(function()
          local asked = #fs:requests()
          local child = start(lua, case[1], { TASKCLIENT_LINKIS_URL = fs.url,
            TASKCLIENT_LINKIS_USER = "u", TASKCLIENT_LINKIS_TOKEN = "t",
            TASKCLIENT_LINDORM_URL = fs.url })
          wait.eventually(function() return #fs:requests() > asked end, 20, "the submit")
          return child
        end)
        assert.matches(case[2], said)
      end
    end)

    local function waiting(choice)
      local server = servers.linkis()
      local child = start(lua, "local job = submit 'sleep 60' print(job.id) io.stdout:flush() "
        .. "job:wait { poll = function() begun() return 0.2 end, on_interrupt = " .. choice .. " }",
        { TASKCLIENT_LINKIS_URL = server.url, TASKCLIENT_LINKIS_USER = server.user,
          TASKCLIENT_LINKIS_PASSWORD = server.password })
      local id = wait.eventually(function()
        return child:out():match "(%d+)\nbegun"
      end, 20, "the wait")
      return child, tonumber(id), assert(taskclient.linkis {
        url = server.url, user = server.user, password = server.password })
    end

    it("leaves the job and says how to attach: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      local said, id, client = interrupt(function() return waiting '"leave"' end)
      assert.matches("client:attach(" .. id .. ")", said, 1, true)
      local job = client:attach(id)
      assert.equal("running", (job:status()))
      job:abort()
      client:close()
    end)

    it("aborts the job where that is asked: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      local said, id, client = interrupt(function() return waiting '"abort"' end)
      assert.matches("abort", said)
      assert.equal("cancelled", (client:attach(id):status()))
      client:close()
    end)

    it("calls the function with the jobs: " .. lua, function()
      if not here(lua) then return pending(lua .. " is not here") end
      local said, id, client = interrupt(function()
        return waiting
          'function(jobs) io.stderr:write("jobs ", #jobs, " ", tostring(jobs[1].id), "\\n") end'
      end)
      assert.matches("jobs 1 " .. id, said, 1, true)
      client:attach(id):abort()
      client:close()
    end)
  end
end)
