-- Many calls at once: one that a server holds up slows no other, and where
-- descriptors run out that is the trouble of the call that wants one; a client
-- used from two coroutines, and one left open when its Lua state ends.

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local wire = require "spec.support.wire"

local core = wire.core
local GOOD = fault.linkis { ok = true }
local LUA = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d.%d"

describe("200 calls", function()
  local fs, sick
  setup(function()
    fs, sick = fault.start(), fault.start()
    fs:script { default = { { "read" }, { "send", GOOD } } }
  end)
  teardown(function()
    fs:stop()
    sick:stop()
  end)

  -- the seconds that 200 calls take, 20 at a time
  local function crowd()
    local client = wire.linkis(fs.url, { max_connections = 20 })
    local began, calls = core.now(), {}
    for i = 1, 200 do calls[i] = client:start("get", { id = tostring(i) }) end
    wire.finish(calls)
    for _, call in ipairs(calls) do assert.is_true(call:result().ok) end
    client:close()
    return core.now() - began
  end

  local KINDS = {
    ["stalls"] = { { "read" }, { "stall" } },
    ["resets"] = { { "read" }, { "rst" } },
    ["sends a byte a second"] = { { "read" }, { "drip", GOOD, 1, 1000 } },
  }

  for kind, steps in pairs(KINDS) do
    it("are not slowed where another server " .. kind, function()
      crowd()
      local alone = crowd()
      sick:script { default = steps }
      local client = wire.linkis(sick.url)
      local held = {}
      for i = 1, 5 do held[i] = client:start("get", { id = tostring(i) }, { timeout = 60 }) end
      local beside = crowd()
      assert.is_true(beside < 3 * alone + 0.5,
        ("%.3f s alone, %.3f s beside"):format(alone, beside))
      for _, call in ipairs(held) do
        if kind == "resets" then
          wire.finish { call }
          assert.equal("network", select(2, call:result()).kind)
        else
          assert.is_false(call:done())
          call:cancel()
        end
      end
      client:close()
    end)
  end
end)

-- runs under a limit of its own: the last call finds no descriptor
local SCRIPT = [[
  package.path = "./?.lua;" .. package.path
  local wire = require "spec.support.wire"
  local client = wire.linkis(arg[1])
  assert(wire.read(client)) -- the resolver and the first connection
  local files = {}
  repeat files[#files + 1] = io.open "/dev/null" until not io.open "/dev/null"
  local held = wire.start_submit(client) -- a connection of its own
  wire.finish { held }
  local _, err = held:result()
  assert(err.message:find "[Tt]oo many open files", err.message)
  print(err.kind, err.outcome)
  assert(wire.read(client)) -- the warm connection serves on
  for _, file in ipairs(files) do file:close() end
  local submit = wire.start_submit(client)
  wire.finish { submit }
  print(submit:result() and "well again")
]]

describe("where descriptors run out", function()
  it("that call alone has an error, and nothing was sent", function()
    local fs = fault.start()
    fs:script { default = { { "read" }, { "send", GOOD } } }
    local dir = process.tempdir()
    local file = assert(io.open(dir .. "/few.lua", "w"))
    file:write(SCRIPT)
    file:close()
    local code, out, err = process.run({ "sh", "-c", "ulimit -n 40; exec \"$@\"", "sh",
      LUA, dir .. "/few.lua", fs.url },
      { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
    assert.equal(0, code, err)
    assert.matches("^%a+\tnot_sent\nwell again\n$", out)
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)
end)

describe("a client", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("serves two coroutines at once, each with its own answer", function()
    fs:script {
      { match = "/1/get", reply = fault.linkis { who = "one" } },
      { match = "/2/get", reply = fault.linkis { who = "two" } },
    }
    local taskclient = require "taskclient"
    local client = assert(taskclient.linkis { url = fs.url, user = "u", token = "t" })
    local answers = { {}, {} }
    taskclient.run(function()
      for who, list in ipairs(answers) do
        taskclient.spawn(function()
          for i = 1, 20 do list[i] = assert(client:call("get", { id = tostring(who) })).who end
        end)
      end
    end)
    assert.equal(("one "):rep(20), table.concat(answers[1], " ") .. " ")
    assert.equal(("two "):rep(20), table.concat(answers[2], " ") .. " ")
    client:close()
  end)

  it("may be left open with calls in flight when the state ends", function()
    fs:script { default = { { "read" }, { "stall" } } }
    local code, out, err = process.run({ LUA, "-e", ([[
      package.path = "./?.lua;" .. package.path
      local wire = require "spec.support.wire"
      client = wire.linkis("%s")
      calls = {}
      for i = 1, 5 do calls[i] = client:start("get", { id = tostring(i) }) end
      wire.core.step(0.1)
      print(wire.core.active())
    ]]):format(fs.url) }, { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
    assert.same({ 0, "5\n", "" }, { code, out, err })
  end)
end)
