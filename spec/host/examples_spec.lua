-- The examples for event loops run, under each Lua that has the loop.

local process = require "spec.support.process"
local servers = require "spec.support.server"

local EXAMPLES = {
  ["luv-jobs"] = { needs = "luv", said = { "job 1: succeeded", "job 2: succeeded",
    "job 3: succeeded", "ran meanwhile: true" } },
  ["luv-call"] = { needs = "luv", said = { "^asked", "user hadoop", "tasks: true" } },
  ["cqueues-jobs"] = { needs = "cqueues", said = { "job 1: succeeded", "job 2: succeeded",
    "job 3 says done", "ran meanwhile: true" } },
}

local function runs(lua, module)
  return os.execute((
    "%s -e 'require \"%s\"' >/dev/null 2>&1 && test -e build/%s/taskclient/core.so"
  ):format(lua, module, lua))
end

for name, example in pairs(EXAMPLES) do
  for _, lua in ipairs { "lua5.4", "luajit" } do
    it(("the example %s runs under %s"):format(name, lua), function()
      if not runs(lua, example.needs) then return pending(example.needs .. " is not here") end
      local server = servers.linkis()
      local code, out, err = process.run({ lua, "examples/" .. name .. ".lua" }, { env = {
        LUA_PATH = "./lua/?.lua;./lua/?/init.lua;;", LUA_CPATH = "./build/" .. lua .. "/?.so;;",
        TASKCLIENT_LINKIS_URL = server.url, TASKCLIENT_LINKIS_USER = server.user,
        TASKCLIENT_LINKIS_TOKEN = false, TASKCLIENT_LINKIS_PASSWORD = server.password,
      } })
      assert.equal(0, code, err)
      assert.equal("", err)
      for _, text in ipairs(example.said) do assert.matches(text, out) end
    end)
  end
end
