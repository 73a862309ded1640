-- The job console of examples/nginx as seen by curl: it answers to the names it is meant for, for
-- a web page whose own name leads to 127.0.0.1 would else submit code as the console's user; and
-- what is odd about a request is the asker's mistake (4xx), never an error of the server.

local process = require "spec.support.process"
local http = require "spec.sandbox.http"
local wait = require "spec.support.wait"

local SPEC = '{"code":"select 1","run_type":"sql","engine":"spark-3.2.1"}'

local BODIES = {
  "", "null", "[]", "{", '{"code":1}', '{"code":"x","engine":{},"run_type":"sql"}',
  '{"code":"","run_type":"sql","engine":"spark-3.2.1"}', '{"code":"x","run_type":null}',
}

describe("the job console", function()
  local console, url

  setup(function()
    console = process.start({ "lua5.4", "examples/nginx/serve.lua", "0" },
      { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath,
        TASKCLIENT_LINKIS_URL = false, TASKCLIENT_CONSOLE_NAMES = "console.example.org" } })
    url = wait.eventually(function()
      return console:out():match "http://%S+/" or not console:running() and error(console:err())
    end, 20, "the console's address")
    wait.eventually(function() return select(2, http.curl { url }) == 200 end, 20, "the console")
  end)

  teardown(function()
    if not console then return end
    console:signal "TERM"
    console:stop()
  end)

  local function get(path, ...) return http.curl { url .. path, ... } end

  local function post(path, body, ...)
    return http.curl { url .. path, "-H", "Content-Type: application/json",
      "--data-raw", body, ... }
  end

  it("submits for nobody who calls it by another name", function()
    local port = url:match ":(%d+)/"
    for _, name in ipairs { "evil.example:" .. port, "evil.example", "127.0.0.1.evil.example",
      "127.1:" .. port, "console.example.org.evil.example" } do
      local host = "Host: " .. name
      local body, code = post("api/jobs", SPEC, "-H", host)
      assert.equal(421, code, name)
      assert.is_nil(body:find('"id"', 1, true))
      assert.equal(421, select(2, get("", "-H", host)))
    end
    for _, name in ipairs { "127.0.0.1:" .. port, "localhost:" .. port, "[::1]:" .. port,
      "console.example.org" } do
      assert.equal(200, select(2, get("api/jobs", "-H", "Host: " .. name)), name)
    end
  end)

  it("answers what is odd with 4xx", function()
    local body, code = post("api/jobs", SPEC)
    assert.equal(200, code, body)
    local id = body:match '"id":(%d+)'
    wait.eventually(function()
      return get("api/jobs/" .. id):find("succeeded", 1, true)
    end, 20, "the job's end")
    for _, odd in ipairs(BODIES) do
      assert.equal(400, select(2, post("api/jobs", odd)), odd)
    end
    local rows = "api/jobs/" .. id .. "/results/1"
    assert.equal(200, select(2, get(rows .. "?page=1&size=500")))
    for _, odd in ipairs { "page=-1", "page=0", "page=", "page=abc", "page=1.5", "page=1e3",
      "page=0x10", "page=99999999999999999999", "size=0", "size=nan", "size=501", "size=-5" } do
      assert.equal(400, select(2, get(rows .. "?" .. odd)), odd)
    end
    for _, path in ipairs { "api/jobs/0", "api/jobs/99999999999999999999", "api/jobs/999",
      "api/jobs/999/events", "api/jobs/999/results", "api/jobs/x", "api/nothing",
      "api/jobs/" .. id .. "/results/0", "api/jobs/" .. id .. "/results/99999999999999999999" } do
      assert.equal(404, select(2, get(path)), path)
    end
    assert.equal(404, select(2, post("api/jobs/999/abort", "{}")))
    assert.equal(405, select(2, get("api/jobs/" .. id .. "/abort")))
    assert.equal(415, select(2, http.curl { url .. "api/jobs", "--data-raw", SPEC }))
  end)
end)
