-- Every example runs as its first lines say, and the README names it.

local paths = require "spec.support.paths"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local ENV = { LUA_PATH = package.path, LUA_CPATH = package.cpath, LC_ALL = "C.UTF-8",
  TASKCLIENT_LINKIS_URL = false, TASKCLIENT_LINKIS_TOKEN = false }

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function shell(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

-- The lines that tell what happens, without what differs from run to run.
local function titles(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "^%u" then list[#list + 1] = line end
  end
  return list
end

local function with_sandbox(dir, fn)
  local sandbox = assert(require "taskclient.sandbox".start {
    lindorm = { sources = { landing = dir }, create_tables = true },
  })
  finally(function() sandbox:stop() end)
  local env = { LANDING = dir, TASKCLIENT_LINKIS_URL = sandbox.url,
    TASKCLIENT_LINKIS_USER = sandbox.user, TASKCLIENT_LINKIS_PASSWORD = sandbox.password,
    TASKCLIENT_LINDORM_URL = sandbox.lindorm_url }
  for name, value in pairs(ENV) do
    if env[name] == nil then env[name] = value end
  end
  return fn(env)
end

local RUN = {}

RUN["examples/demo.lua"] = function(path)
  local code, out, err = process.run({ paths.lua, path }, { env = ENV })
  assert.equal(0, code, err)
  assert.equal("", err)
  assert.is_nil(out:find "\27", "escape codes where there is no terminal")
  local shown = read("README.md"):match "<!%-%- demo: begin %-%->.-\n%$ make demo\n(.-)```"
  assert.same(titles(shown), titles(out))
end

RUN["examples/nightly.lua"] = function(path)
  local dir = process.tempdir()
  finally(function() os.execute("rm -rf " .. process.quote(dir)) end)
  with_sandbox(dir, function(env)
    for _ = 1, 2 do -- the second run finds everything done
      local code, out, err = process.run({ paths.lua, path, "2026-01-05" }, { env = env })
      assert.equal(0, code, err)
      assert.matches("4 steps: 4 succeeded", out)
    end
  end)
end

local function free_port()
  local socket = require "luv".new_tcp()
  assert(socket:bind("127.0.0.1", 0))
  local port = socket:getsockname().port
  socket:close()
  require "luv".run()
  return tostring(port)
end

RUN["examples/nginx/serve.lua"] = function(path)
  local child = process.start({ "setsid", paths.lua, path, free_port() }, { env = ENV })
  finally(function() child:stop() end)
  local address = wait.eventually(function()
    return child:out():match "http://127%.0%.0%.1:%d+/"
      or not child:running() and error(child:err())
  end, 20, "the address of the console")
  local function get(what) return shell("curl -s -m 20 '" .. address .. what .. "'") end
  wait.eventually(function() return get "":find "<html" end, 20, "the console's page")
  local job = shell(([[curl -s -m 20 -H 'Content-Type: application/json' -d '%s' %sapi/jobs]])
    :format('{"code":"select 42","run_type":"sql","engine":"spark-3.2.1"}', address))
  assert.matches('"id":"?%d+', job)
  assert.matches('"id":"?%d+', get "api/jobs")
  os.execute(("kill -INT -%d"):format(child.pid))
  assert.equal(0, child:wait(20), child:err())
  assert.equal("", get "")
end

describe("the example", function()
  local list = shell "ls examples/*.lua examples/*/serve.lua"
  for path in list:gmatch "%S+" do
    it(path .. " is named by the README, and a spec runs it", function()
      assert(read("README.md"):find("(" .. path .. ")", 1, true), "not in the README")
      if RUN[path] then return RUN[path](path) end
      local name = path:match "([^/]+)%.lua$"
      assert(shell("grep -rlF " .. name .. " spec/host") ~= "", "no spec runs it")
    end)
  end
end)
