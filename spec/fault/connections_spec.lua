-- What a client holds open, and what it may say of a request that met something
-- else on its way than the server: never more connections than it was allowed,
-- none after its end, and `not_sent` where no byte of the request left.

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

-- This process's sockets; nil where /proc does not tell.
local function sockets()
  local pid = (io.open "/proc/self/stat" or io.tmpfile()):read "*n"
  if not pid then return nil end
  local pipe = io.popen(("ls -l /proc/%d/fd 2>/dev/null"):format(pid))
  local _, count = pipe:read("*a"):gsub("socket:%[", "")
  pipe:close()
  return count
end

describe("the connections of a client", function()
  local fs, client, before
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function()
    fs:script { default = { { "read" }, { "send", fault.linkis(wire.ACCEPTED) } } }
    collectgarbage()
    collectgarbage()
    before = sockets()
  end)

  -- libcurl 7 has a pair of sockets of its own for each client
  local function opened() return before and sockets() - before - 2 or 0 end

  local function still_open()
    local n = 0
    for _, entry in ipairs(fs:journal()) do
      if entry.event == "open" then n = n + 1 elseif entry.event == "close" then n = n - 1 end
    end
    return n
  end

  it("do not pile up with submits: a script of hundreds has two at most", function()
    client = wire.linkis(fs.url)
    for _ = 1, 40 do
      assert(wire.submit(client))
      assert(wire.read(client))
      assert.is_true(opened() <= 2, opened() .. " are open")
    end
    wait.eventually(function() return still_open() <= 2 end, 10, "the closing of the others")
    client:close()
  end)

  it("of a submit are not shared with another call before it", function()
    client = wire.linkis(fs.url)
    for _ = 1, 3 do
      assert(wire.read(client))
      assert(wire.submit(client))
    end
    for _, request in ipairs(fs:requests "^POST") do assert.equal(1, request.request) end
    client:close()
  end)

  for _, most in ipairs { 1, 2, 3 } do
    it("are never more than max_connections = " .. most, function()
      client = wire.linkis(fs.url, { max_connections = most })
      for round = 1, 3 do
        local calls = {}
        for i = 1, 8 do
          calls[i] = (i + round) % 2 == 0 and wire.start_submit(client)
            or client:start("get", { id = "7" })
        end
        while true do
          local busy = false
          for _, call in ipairs(calls) do busy = busy or not call:done() end
          assert.is_true(opened() <= most, opened() .. " are open")
          if not busy then break end
          wire.core.step(0.2)
        end
        for _, call in ipairs(calls) do assert(call:result()) end
      end
      client:close()
    end)
  end

  it("are closed with the client, and only its own", function()
    local other = wire.linkis(fs.url)
    client = wire.linkis(fs.url)
    assert(wire.read(other))
    for _ = 1, 5 do
      assert(wire.submit(client))
      assert(wire.read(client))
    end
    client:close()
    wait.eventually(function() return still_open() == 1 end, 10, "the client's last connection")
    assert.equal(0, opened() - 1)
    assert(wire.read(other))
    assert.equal(2, fs:requests("^GET")[#fs:requests "^GET"].request) -- on the same connection
    other:close()
    wait.eventually(function() return still_open() == 0 end, 10, "the other's")
    if before then assert.equal(before, sockets()) end
  end)

  it("that the server has ended are given back when that is heard", function()
    fs:script { default = { { "read" }, { "send", fault.linkis {} }, { "fin" } } }
    client = wire.linkis(fs.url)
    assert(wire.read(client))
    wait.eventually(function()
      wire.core.step(0.05)
      return still_open() == 0
    end, 10, "the idle connection's end")
    if before then assert.equal(before, sockets()) end
    assert(wire.read(client))
    client:close()
  end)

  it("are not inherited by a child", function()
    client = wire.linkis(fs.url)
    assert(wire.submit(client))
    assert(wire.read(client))
    local pipe = io.popen "ls -l /proc/self/fd 2>/dev/null"
    local told = pipe:read "*a"
    pipe:close()
    assert.is_nil(told:find("socket:[", 1, true), told)
    client:close()
  end)

  it("leave room for the program's files", function()
    local lua = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d.%d"
    local code = ([[
      package.path = './lua/?.lua;./?.lua;' .. package.path
      package.cpath = './%s/%s/?.so;' .. package.cpath
      local wire = require 'spec.support.wire'
      local client = wire.linkis '%s'
      for i = 1, 120 do assert(wire.submit(client)) end
      assert(io.open 'README.md'):close()]]):format(os.getenv "TASKCLIENT_BUILD" or "build", lua,
      fs.url)
    local status, _, err = process.run { "sh", "-c", "ulimit -n 40; exec \"$@\"", "sh", lua, "-e",
                                         code }
    assert.equal(0, status, err)
    assert.equal(120, #fs:requests "^POST")
  end)
end)

describe("a proxy on the way to a server with TLS", function()
  local proxy
  setup(function() proxy = fault.start() end)
  teardown(function() proxy:stop() end)

  -- what becomes of a submit when the proxy does this with the CONNECT
  local function submit(steps, opts)
    proxy:script { default = steps }
    local client = wire.linkis("https://gateway.invalid:9001", { proxy = proxy.url })
    local value, err, call = wire.submit(client, opts)
    assert.is_nil(value)
    assert.equal("not_sent", err.outcome, tostring(err.message))
    assert.is_false(call:info().sent)
    assert.equal(0, #proxy:requests "^POST")
    client:close()
    return err
  end

  local function reply(status)
    return { { "read" }, { "send", fault.http(status, "") }, { "fin" } }
  end

  for _, status in ipairs { 400, 403, 404, 407 } do
    it("that refuses with " .. status .. " has got none of it, and is not asked again", function()
      local err = submit(reply(status))
      assert.equal("network", err.kind)
      assert.is_false(err.retryable)
      assert.is_truthy(err.message:find("asking the proxy for a tunnel", 1, true), err.message)
      assert.is_truthy(err.message:find(tostring(status), 1, true), err.message)
    end)
  end

  for _, status in ipairs { 429, 500, 502, 503, 504 } do
    it("that fails with " .. status .. " may be asked again", function()
      assert.is_true(submit(reply(status)).retryable)
    end)
  end

  it("that closes, or says nothing, has got none of it", function()
    assert.equal("network", submit({ { "read" }, { "fin" } }).kind)
    assert.equal("timeout", submit({ { "stall" } }, { timeout = 0.3 }).kind)
  end)

  local OPEN = "HTTP/1.1 200 Connection established\r\n\r\n"

  it("with something else than a server behind it has got none of it", function()
    assert.equal("tls", submit({ { "read" }, { "send", OPEN .. "SSH-2.0-OpenSSH_9.2\r\n" },
                                 { "stall" } }).kind)
    local err = submit({ { "read" }, { "send", OPEN }, { "stall" } }, { timeout = 0.5 })
    assert.equal("timeout", err.kind)
    assert.is_truthy(err.message:find("TLS handshake", 1, true), err.message)
  end)

  it("keeps its refusal apart from the server's answer", function()
    local err = submit { { "read" }, { "send", fault.http(503, "", { "Retry-After: 7" }) },
                         { "fin" } }
    assert.is_nil(err.http_status)
    assert.is_nil(err.retry_after)
  end)
end)

describe("a download", function()
  local fs, dir
  setup(function() fs, dir = fault.start(), process.tempdir() end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local BODY = ("a,b\r\n"):rep(6000)
  local HEAD = "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=x.csv\r\n"
    .. "Content-Length: " .. #BODY .. "\r\n\r\n"

  local function fetch(body, max_body, cut)
    local steps = { { "read" }, { "send", HEAD } }
    if cut == "whole" then steps = { { "read" }, { "send", HEAD .. body } }
    else
      steps[3] = { "drip", body:sub(1, 12 * cut), cut, 1 }
      steps[4] = { "send", body:sub(12 * cut + 1) }
    end
    fs:script { default = steps }
    local client = wire.linkis(fs.url, { max_body = max_body })
    local path = dir .. "/out.csv"
    local n, err = wire.call(client, "resultsetToExcel", { path = "/r" },
      { file = path, overwrite = true })
    client:close()
    if not n then return nil, err end
    local file = assert(io.open(path, "rb"))
    local saved = file:read "*a"
    file:close()
    return n, saved
  end

  -- however the network cuts it, and however little may be kept in memory
  for _, max_body in ipairs { 1, 1000, 4095, 4096, 5000, 20000 } do
    it("does not depend on how TCP cuts it; max_body = " .. max_body, function()
      for _, cut in ipairs { "whole", 1, 500, 1365, 2048 } do
        local n, saved = fetch(BODY, max_body, cut)
        assert.equal(#BODY, n, tostring(saved and saved.message))
        assert.is_true(saved == BODY)
      end
    end)
  end
end)
