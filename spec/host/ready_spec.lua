-- A host where it cannot wait says so before anything is sent; one that is not
-- there says what is missing.

local fault = require "spec.support.fault"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

-- Each tries to submit outside of where its host can wait, and has all that may be
-- in flight go out by an operation of another client.
local SCRIPT = [[
local host, url = %q, %q
local taskclient, core = require "taskclient", require "taskclient.core"
local client = assert(taskclient.linkis { host = host, url = url, user = "u", token = "t" })
local ok, why = pcall(client.submit, client,
  { code = "select 1", run_type = "sql", engine = "spark-3.2.1" })
local other = assert(taskclient.linkis { host = "plain", url = url, user = "u", token = "t" })
other:call("get", { id = "1" })
print(ok, tostring(why):match "^[^\n]*")]]

-- The same in the lines of a module that is required where the host could wait otherwise.
local MODULE = [[
local host, url = %q, %q
local taskclient = require "taskclient"
if host == "luv" then require "luv" end
local client = assert(taskclient.linkis { host = host ~= "loop" and host or nil, url = url,
  user = "u", token = "t" })
package.preload.jobs = function()
  return client:submit { code = "select 1", run_type = "sql", engine = "spark-3.2.1" }
end
local function go()
  local ok, why = pcall(require, "jobs")
  client:call("get", { id = "1" })
  print(ok, tostring(why):match "^[^\n]*")
  io.stdout:flush()
  os.exit(0) -- some versions of copas never end
end
local begin = {
  loop = function() taskclient.run(go) end,
  luv = function() coroutine.wrap(go)() require("luv").run() end,
  cqueues = function() local queue = require("cqueues").new() queue:wrap(go) queue:loop() end,
  copas = function() local copas = require "copas" copas.addthread(go) copas.loop() end,
}
begin[host]()]]

describe("a host where it cannot wait", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local function try(host, lua, script)
    fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
    local build = os.getenv "TASKCLIENT_BUILD" or "build"
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write((script or SCRIPT):format(host, fs.url))
    file:close()
    local pipe = assert(io.popen(("LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' "
      .. "LUA_CPATH='./%s/%s/?.so;;' %s %s 2>&1"):format(build, lua, lua, path)))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(path)
    wait.eventually(function() return #fs:requests "^GET" > 0 end, 10, text)
    assert.equal(0, #fs:requests "submit", text)
    return text
  end

  it("says so in the loop before anything is sent", function()
    assert.matches("^false.*host 'loop': only inside of taskclient.run", try("loop", "lua5.4"))
  end)

  it("says so in cqueues before anything is sent", function()
    assert.matches("^false.*needs a running controller", try("cqueues", "lua5.4"))
  end)

  local there = { loop = "lua5.4", cqueues = "lua5.4", luv = "lua5.4", copas = "luajit" }
  for host, lua in pairs(there) do
    it("says so while require runs a module, before anything is sent: " .. host, function()
      local said = try(host, lua, MODULE)
      if said:find "module '[^']*' not found" then return pending(host .. " is not here") end
      assert.matches("^false.*cannot wait here.*a module that require runs", said)
    end)
  end

  it("says so in a task of LuaJIT while require runs a module", function()
    assert.matches("^false.*a module that require runs", try("loop", "luajit", MODULE))
  end)

  for _, lua in ipairs { "lua5.1", "luajit" } do
    it("says so in copas before anything is sent: " .. lua, function()
      assert.matches("^false.*copas.addthread", try("copas", lua))
    end)
  end
end)

describe("a host that is not there", function()
  local function complaint(name)
    local ok, why = pcall(taskclient.linkis, { host = name, url = "http://127.0.0.1:1" })
    assert.is_false(ok)
    assert.is_nil(why:find "\n")
    return why
  end

  it("says what it is for", function()
    assert.matches("host 'nginx' cannot run here: it is for Lua code that nginx runs",
      complaint "nginx")
  end)

  it("says what is missing, and no list of places", function()
    local known, ours = package.loaded.copas, package.loaded["taskclient.host.copas"]
    local preload = package.preload.copas
    package.loaded.copas, package.loaded["taskclient.host.copas"] = nil, nil
    package.preload.copas = function() error "module 'copas' not found:\n\tno file 'x'" end
    local fine, why = pcall(complaint, "copas")
    package.preload.copas = preload
    package.loaded.copas, package.loaded["taskclient.host.copas"] = known, ours
    assert.is_true(fine, why)
    assert.matches("module 'copas' not found", why)
  end)
end)
