-- Loops over tables under LuaJIT: none of the kind that Debian 12's build skips
-- now and then (lua/taskclient/compat.lua).

local has_jit, bytecode = pcall(require, "jit.bc")

describe("a loop over a table under LuaJIT", function()
  if not has_jit then
    pending "this Lua is not LuaJIT"
    return
  end

  -- Those that only Lua 5.4 runs hold what LuaJIT cannot read, or is never given.
  local function files()
    local list = assert(io.popen "find lua examples/nginx -name '*.lua' | sort")
    local paths = {}
    for path in list:lines() do
      if not path:find "/sandbox/engine/" then paths[#paths + 1] = path end
    end
    list:close()
    return paths
  end

  local ONLY_54 = { ["lua/taskclient/sandbox/store.lua"] = true,
    ["lua/taskclient/sandbox/supervise.lua"] = true }

  local function listing(path)
    local lines = {}
    local out = { write = function(_, ...) lines[#lines + 1] = table.concat { ... } end,
      flush = function() end, close = function() end }
    bytecode.dump(assert(loadfile(path)), out, true)
    return table.concat(lines)
  end

  it("is never of the kind that a trace may skip", function()
    for _, path in ipairs(files()) do
      if not ONLY_54[path] then
        assert.is_nil(listing(path):find("ITERN", 1, true), path)
      end
    end
  end)

  it("finds that kind where it is", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write "for k in pairs(...) do print(k) end"
    file:close()
    local text = listing(path)
    os.remove(path)
    assert.matches("ITERN", text)
  end)

  it("leaves no member of a body out", function()
    local spec = require "taskclient.linkis.spec"
    jit.opt.start("hotloop=2", "hotexit=2")
    local given = { code = "x", run_type = "sql", engine = "e-1", creator = "c",
      source = { a = "1" }, labels = { b = "2" } }
    for i = 1, 2000 do
      given.variables = i % 3 == 0 and { day = "1" } or nil
      given.runtime = i % 5 == 0 and { r = "1" } or nil
      local body = spec.body(given, "k", "hadoop")
      assert(body:find('"labels":{"b":"2","engineType":"e-1","userCreator":"hadoop-c"}', 1, true))
      assert(body:find('"source":{"a":"1","taskclient.key":"k"}', 1, true))
    end
    jit.opt.start("hotloop=56", "hotexit=10")
  end)
end)
