-- The luv host: a call that is cancelled, closed or collected is told of at
-- once, though nothing comes from the server; callbacks; the end of the loop.

local fault = require "spec.support.fault"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local core = require "taskclient.core"
local uv = require "luv"

local SOON = 0.12 -- seconds; by itself libcurl looks 0.2 s after the start, then once a second

describe("luv", function()
  local host = require "taskclient.host.luv"
  local fs, client

  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  local function open()
    fs:script { default = { { "read" }, { "stall" } } }
    client = assert(taskclient.linkis { host = "luv", url = fs.url, user = "u", token = "t",
      timeout = 20, max_connections = 1 })
  end
  before_each(open)
  after_each(function() client:close() end)

  -- runs the loop to its end; act() is called once the server has the request
  local function run(act)
    local timer = uv.new_timer()
    local acted
    timer:start(10, 10, function()
      if #fs:requests() == 0 then return end
      timer:close()
      act()
      acted = core.now()
    end)
    uv.run()
    return core.now() - acted
  end

  local function soon(measure)
    wait.within(SOON, function()
      client:close()
      open()
      return measure()
    end)
  end

  local function err_of(call)
    local kind
    coroutine.wrap(function()
      host.await(call)
      local _, err = call:result()
      kind = err and err.kind or "none"
    end)()
    return function() return kind end
  end

  it("wakes whoever waits for a call that is cancelled", function()
    soon(function()
      local call = client:start("get", { id = "1" })
      local kind = err_of(call)
      local took = run(function() call:cancel() end)
      assert.equal("interrupted", kind())
      return took
    end)
  end)

  it("wakes whoever waits for a call of a client that is closed", function()
    soon(function()
      local kind = err_of(client:start("get", { id = "1" }))
      local took = run(function() client:close() end)
      assert.equal("closed", kind())
      return took
    end)
  end)

  it("ends the loop when the last call in flight is collected", function()
    soon(function()
      local calls = { client:start("get", { id = "1" }) } -- luacheck: ignore 231
      host.notify(client:start("get", { id = "2" }, { timeout = 0.001 }), function() end)
      local took = run(function()
        calls = nil -- luacheck: ignore 311
        collectgarbage()
        collectgarbage()
      end)
      assert.equal(0, core.active())
      return took
    end)
  end)

  it("sends the next in line when the one before is cancelled", function()
    local first = client:start("get", { id = "1" })
    local kind = err_of(client:start("get", { id = "2" }, { timeout = 1 }))
    run(function()
      fs:script { default = { { "read" }, { "send", fault.linkis { task = { taskID = 2 } } } } }
      first:cancel()
    end)
    assert.equal("none", kind())
    assert.equal(1, #fs:requests "/2/get")
  end)

  it("calls back for a call that nobody holds", function()
    fs:script { default = { { "read" }, { "send", fault.linkis { task = { taskID = 1 } } } } }
    local id
    host.notify(client:start("get", { id = "1" }), function(call)
      id = call:result().task.taskID
    end)
    collectgarbage()
    collectgarbage()
    uv.run()
    assert.equal(1, id)
  end)

  it("goes on waiting in a coroutine that somebody else has resumed", function()
    local kind
    local co = coroutine.create(function()
      local call = client:start("get", { id = "1" })
      local timer = uv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        call:cancel()
      end)
      host.await(call)
      kind = select(2, call:result()).kind
    end)
    assert(coroutine.resume(co))
    assert(coroutine.resume(co)) -- as a scheduler does that does not know of luv
    assert.equal("interrupted", kind)
    uv.run()
    assert.equal("dead", coroutine.status(co))
  end)

  it("is not loaded in a coroutine, where nothing could be resumed from it", function()
    local luv, ours = package.loaded.luv, package.loaded["taskclient.host.luv"]
    package.loaded.luv, package.loaded["taskclient.host.luv"] = nil, nil
    local ok, err
    coroutine.wrap(function()
      ok, err = pcall(taskclient.linkis, { host = "luv", url = fs.url, user = "u", token = "t" })
    end)()
    package.loaded.luv, package.loaded["taskclient.host.luv"] = luv, ours
    assert.is_false(ok)
    assert.is_truthy(err:find('write require "luv" where the script begins', 1, true))
  end)
end)
