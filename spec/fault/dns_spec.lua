-- A name server that never answers cannot hold a call (F33). Needs the right
-- to mount, for a resolv.conf of its own; skipped where that is missing.

local process = require "spec.support.process"
local wait = require "spec.support.wait"

local SILENT = [[
  local uv = require "luv"
  local udp, timer = uv.new_udp(), uv.new_timer()
  assert(udp:bind("127.66.66.66", 53))
  timer:start(30000, 0, function() os.exit(0) end)
  io.write "ready\n"
  io.flush()
  uv.run()]]

local ASK = [[
  package.path = "./lua/?.lua;./?.lua;" .. package.path
  package.cpath = "./%s/%s/?.so;" .. package.cpath
  local wire = require "spec.support.wire"
  local wait = require "spec.support.wait"
  -- the resolver itself gives up after 10 s
  local client, started = wire.linkis "http://gateway.example:9001", wait.now()
  local value, err = wire.submit(client, { timeout = 0.8 })
  io.write(wait.now() - started, " ", err.kind, " ", err.outcome, "\n")
  client:close()
  wire.core.step(0)
  io.write(wait.now() - started, "\n")
  io.flush()
  os.exit(0, true)]]

local function may_mount()
  return process.run { "unshare", "-m", "sh", "-c",
                       "mount --bind /dev/null /etc/resolv.conf" } == 0
end

describe("a silent name server", function()
  it("ends with the deadline, not with the resolver", function()
    if not may_mount() then return pending "needs the right to mount" end
    local server = process.start { "lua5.4", "-e", SILENT }
    local ready = pcall(wait.eventually, function() return server:out() == "ready\n" end, 5)
    if not ready then
      server:stop()
      return pending "needs port 53 of 127.66.66.66"
    end
    local dir = process.tempdir()
    local file = assert(io.open(dir .. "/resolv.conf", "w"))
    file:write "nameserver 127.66.66.66\n"
    file:close()
    local lua = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d.%d"
    local code = ASK:format(os.getenv "TASKCLIENT_BUILD" or "build", lua)
    local status, out, err = process.run { "unshare", "-m", "sh", "-c",
      'mount --bind "$1" /etc/resolv.conf && exec "$0" -e "$2"', lua,
      dir .. "/resolv.conf", code }
    server:stop()
    os.execute("rm -rf " .. process.quote(dir))
    assert.equal(0, status, err)
    local took, kind, outcome, all = out:match "^(%S+) (%S+) (%S+)\n(%S+)\n"
    assert.equal("timeout", kind)
    assert.equal("not_sent", outcome)
    assert.is_true(tonumber(took) < 4, "took " .. took)
    assert.is_true(tonumber(all) < 4.5, "closing took until " .. all)
  end)
end)
