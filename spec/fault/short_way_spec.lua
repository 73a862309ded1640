-- How many functions of the library a look at one job goes through, from the user's line to the
-- core and back.

local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"

describe("the way of", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  -- The library's own functions that `fn` runs, and their modules: each counted once.
  local function way(fn)
    local functions, modules, many, files = {}, {}, 0, 0
    debug.sethook(function()
      local info = debug.getinfo(2, "S")
      local file = info.what == "Lua" and info.source:match "taskclient/(.*)%.lua$"
      local name = file and file .. ":" .. info.linedefined
      if file and not modules[file] then modules[file], files = true, files + 1 end
      if name and not functions[name] then functions[name], many = true, many + 1 end
    end, "c")
    fn()
    debug.sethook()
    return many, files, functions
  end

  it("a job's state is at most twelve functions of five modules", function()
    fs:script { linkis.get() }
    local job = linkis.client(fs):attach(12)
    assert.equal("running", (job:status()))
    local state
    local many, files, functions = way(function() state = job:status() end)
    assert.equal("running", state)
    local list = {}
    for name in pairs(functions) do list[#list + 1] = name end
    table.sort(list)
    assert.is_true(many >= 6 and many <= 12 and files <= 5, table.concat(list, "\n"))
  end)

  it("a state that is known to last is two", function()
    fs:script { linkis.get { status = "Succeed" } }
    local job = linkis.client(fs):attach(12)
    job:status()
    assert.is_true(way(function() job:status() end) <= 2)
  end)
end)
