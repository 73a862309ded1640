-- Wrong arguments: what is said about them, and at whose line.

local options = require "taskclient.options"

local SCHEMA = { timeout = "duration", code = "!text", size = "count", pick = "string|table" }

local function complaint(given) return options.complaint(given, SCHEMA, "option") end

describe("option tables", function()
  it("pass when each is of its type", function()
    assert.is_nil(complaint { timeout = 0.5, code = "x", size = 1, pick = {} })
    assert.is_nil(complaint { code = "x", pick = "a" })
  end)

  it("name the nearest known name", function()
    assert.equals("unknown option 'tiemout'; did you mean 'timeout'?",
      complaint { code = "x", tiemout = 1 })
    assert.matches("known: code, pick, size, timeout", complaint { code = "x", elephants = 1 })
    assert.matches("a name expected, got number", complaint { "x" })
  end)

  it("say what is missing", function()
    assert.equals("option 'code' is missing", complaint {})
  end)

  local WRONG = {
    { "timeout", 0 / 0 }, { "timeout", -1 }, { "timeout", "1" }, { "timeout", {} },
    { "code", "" }, { "code", 1 }, { "size", 0 }, { "size", 1.5 }, { "size", math.huge },
    { "pick", true }, { "pick", print },
  }
  for _, case in ipairs(WRONG) do
    it(("refuse %s = %s"):format(case[1], type(case[2])), function()
      local given = { code = "x" }
      given[case[1]] = case[2]
      assert.matches(("^option '%s': .* expected, got "):format(case[1]), complaint(given))
    end)
  end

  it("raise at the line of the public function's caller", function()
    local function public(opts)
      options.check("public", opts, SCHEMA)
      return true
    end
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() public { code = 1 } end)
    assert.is_false(ok)
    assert.matches(("options_spec.lua:%d: bad argument to 'public'"):format(line), message)
  end)
end)

describe("URLs", function()
  it("pass with a scheme, a host, a port, a prefix", function()
    for _, url in ipairs { "http://a", "https://a:9001", "HTTP://a/prefix/", "http://[::1]:80" } do
      assert.is_nil(options.url_complaint(url))
    end
  end)

  local WRONG = {
    ["http://u:p@host"] = "credentials", ["http://u@host"] = "credentials",
    ["gateway:9001"] = "http://", ["ftp://a"] = "ftp", ["http://"] = "host", ["http://:1"] = "host",
    ["http://a b"] = "blanks", ["http://a\r\nX: y"] = "blanks", ["http://a?x=1"] = "query",
    ["http://a/#f"] = "fragment", [""] = "http://",
  }
  for url, word in pairs(WRONG) do
    it(("refuses %q"):format(url), function()
      assert.matches(word, options.url_complaint(url))
    end)
  end

  it("refuses what is no text, and does not show a password", function()
    assert.matches("string expected", options.url_complaint(nil))
    assert.is_nil(options.url_complaint("http://u:geheim@host"):find "geheim")
  end)
end)
