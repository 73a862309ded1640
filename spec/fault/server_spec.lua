-- The fault server itself: it must be byte-exact before it may judge others.

local fault = require "spec.support.fault"
local process = require "spec.support.process"

describe("the fault server", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  -- what a peer gets that sends request and reads to the end
  local function talk(request, more)
    local script = ([[
      local uv = require "luv"
      local socket, got = uv.new_tcp(), ""
      socket:connect("127.0.0.1", %d, function(err)
        assert(not err, err)
        socket:read_start(function(e, data)
          if data then got = got .. data return end
          io.write(got, e and "<" .. e .. ">" or "<EOF>")
          os.exit(0)
        end)
        socket:write(%q)
        %s
      end)
      uv.run()]]):format(fs.port, request, more or "")
    local code, out, err = process.run { "lua5.4", "-e", script }
    assert.equal(0, code, err)
    return out
  end

  it("sends exactly what it is told and ends by FIN", function()
    fs:script { { { "read" }, { "send", "a\0b\r\nc" }, { "fin" } } }
    assert.equal("a\0b\r\nc<EOF>", talk "GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
  end)

  it("ends by RST", function()
    fs:script { { { "read" }, { "send", "abc" }, { "wait", 20 }, { "rst" } } }
    assert.equal("abc<ECONNRESET>", talk "GET /x HTTP/1.1\r\n\r\n")
  end)

  it("acts before anything is read", function()
    fs:script { { accept = true, { "send", "early" }, { "fin" } } }
    assert.equal("early<EOF>", talk "G")
  end)

  it("notes whole and cut requests with their bytes", function()
    local head = "POST /p/q?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
    fs:script { default = { { "read", 10 }, { "fin" } } }
    talk(head .. "a\0c")
    talk("GET /half HT", "socket:shutdown()")
    local seen = fs:requests()
    assert.equal(2, #seen)
    assert.equal(head .. "a\0c", seen[1].bytes)
    assert.equal("a\0c", seen[1].body)
    assert.equal("/p/q", seen[1].path)
    assert.equal("a=1", seen[1].query)
    assert.equal("3", seen[1].headers["content-length"])
    assert.equal("GET /half HT", seen[2].bytes)
    assert.is_false(seen[2].complete)
  end)

  it("serves several requests on a connection, and counts rules down", function()
    fs:script {
      { match = "^GET /a ", times = 1, { "read" }, { "send", "1" } },
      { match = "^GET /a ", { "read" }, { "send", "2" }, { "fin" } },
    }
    assert.equal("12<EOF>", talk("GET /a HTTP/1.1\r\n\r\n" .. "GET /a HTTP/1.1\r\n\r\n"))
    assert.equal(2, #fs:requests "^GET /a")
    assert.equal(2, fs:requests()[2].request)
  end)

  it("drips, repeats and holds", function()
    fs:script {
      { match = "drip", { "read" }, { "drip", "abcde", 2, 1 }, { "repeat", "xy", 3 }, { "fin" } },
    }
    assert.equal("abcdexyxyxy<EOF>", talk "GET /drip HTTP/1.1\r\n\r\n")
    fs:script { { { "read" }, { "hold", "gate" }, { "send", "z" }, { "fin" } } }
    fs:release "gate"
    assert.equal("z<EOF>", talk "GET / HTTP/1.1\r\n\r\n")
  end)
end)
