-- The complete host that doc/hosts.md shows, taken out of the page and run.

local fault = require "spec.support.fault"
local servers = require "spec.support.server"
local taskclient = require "taskclient"

local function example()
  local file = assert(io.open "doc/hosts.md")
  local text = file:read "*a"
  file:close()
  for code in text:gmatch "```lua\n(.-)```" do
    if code:find "return frames" then return code end
  end
end

describe("the host of doc/hosts.md", function()
  local frames, client

  setup(function()
    local load_text = loadstring or load -- luacheck: ignore 113
    frames = assert(load_text(assert(example()), "=doc/hosts.md"))()
    local server = servers.linkis()
    client = assert(taskclient.linkis {
      host = frames, url = server.url, user = server.user, password = server.password,
    })
  end)
  teardown(function() client:close() end)

  -- draws frames until all is done
  local function draw(done)
    local deadline = os.time() + 60
    while not done() do
      frames.tick()
      collectgarbage() -- takes a coroutine that waits if nobody holds it
      assert(os.time() < deadline, "the frames never ended")
    end
  end

  it("does jobs side by side while frames are drawn", function()
    local ended = 0
    for i = 1, 3 do
      frames.start(function()
        local job = assert(client:submit { code = "echo " .. i, run_type = "shell",
          engine = "shell-1" })
        assert.equal("succeeded", (job:wait { poll = 0.05, timeout = 50 }))
        local log, found = job:logs(), false
        for line in log do found = found or line == tostring(i) end
        assert.is_true(found)
        ended = ended + 1
      end)
    end
    assert.equal(0, ended) -- all three wait, and only frames bring them on
    draw(function() return ended == 3 end)
  end)

  it("wakes the others when one of those that are woken raises", function()
    local fs, calls, woken = fault.start(), {}, 0
    fs:script { default = { { "read" }, { "stall" } } } -- they end when they are cancelled
    local stalled = assert(taskclient.linkis { host = frames, url = fs.url, user = "u",
      token = "t" })
    for i = 1, 3 do
      calls[i] = assert(stalled:start("userInfo"))
      frames.start(function()
        frames.await(calls[i])
        woken = woken + 1
        error("bug " .. i)
      end)
    end
    for i = 1, 3 do calls[i]:cancel() end
    local ok, why = pcall(frames.tick)
    assert.is_false(ok)
    assert.matches("bug 1", why)
    assert.equal(3, woken)
    stalled:close()
    fs:stop()
  end)

  it("raises what a coroutine raises", function()
    local ok, why = pcall(function()
      frames.start(function()
        frames.sleep(0.01)
        error "a bug of the program"
      end)
      draw(function() return false end)
    end)
    assert.is_false(ok)
    assert.matches("a bug of the program", why)
  end)
end)
