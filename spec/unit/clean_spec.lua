-- What of a foreign text may be shown: a terminal obeys no server, and no text reads as another.

local core = require "taskclient.core"
local failure = require "taskclient.error"

local EVIL = {
  ["\27[2J"] = "?[2J", ["\27]0;x\7"] = "?]0;x?", ["\194\15531m"] = "?31m", ["\15531m"] = "?31m",
  ["\127"] = "?", ["\0"] = "?", ["a\r\nb"] = "a\\r\\nb", ["a\tb"] = "a\\tb",
  ["\226\128\174abc"] = "?abc", ["\226\129\166x"] = "?x", ["\226\128\168"] = "?", -- U+202E, 2066
  ["\239\187\191"] = "?", ["\239\191\190"] = "?", ["\243\160\129\129"] = "?", -- U+FEFF, FFFE, E0041
  ["\255\254"] = "??", ["\237\160\128"] = "???", ["ä中😀"] = "ä中😀",
}

describe("a cleaned text", function()
  it("holds nothing that a terminal acts on", function()
    for bytes, shown in pairs(EVIL) do
      assert.equal(shown, (core.clean(bytes, nil, "line")))
      local text = core.clean(bytes)
      assert.is_nil(text:find "[%z\1-\8\11-\31\127]")
    end
  end)

  it("keeps lines, and colors where they are asked for", function()
    assert.equal("a\nb\tc", (core.clean "a\r\nb\tc"))
    assert.equal(" [31mred", (core.clean "\27[31mred"))
    assert.equal("\27[1;31mred\27[0m [2J", (core.clean("\27[1;31mred\27[0m\27[2J", nil, "colors")))
  end)

  it("is cut between characters, and says so", function()
    local text, whole = core.clean(("ä"):rep(10), 5)
    assert.same({ "äää", false }, { text, whole })
    assert.same({ "abc", true }, { core.clean("abc", 10) })
    assert.same({ "", true }, { core.clean "" })
  end)

  it("is what an err prints, while its message stays as it was said", function()
    local err = failure.new("service", "no\27[2J\194\155x", { code = 7, key = "k\27" })
    assert.equal("service: no [2J x (code 7, key k )", tostring(err))
    assert.equal("no\27[2J\194\155x", err.message)
  end)
end)

describe("a long text of a server", function()
  -- each of these took minutes, deaf to Ctrl-C; the count of instructions says nothing about a
  -- pattern, so the time of the CPU does, with much room
  it("is searched for a code in one pass", function()
    local started = os.clock()
    assert.is_nil(failure.code_in(("error code "):rep(300000)))
    assert.is_nil(failure.code_in("errCode:" .. (" "):rep(1000000)))
    assert.equal(7, failure.code_in(("error code: x "):rep(10000) .. "error code: 7"))
    assert.is_true(os.clock() - started < 20)
  end)
end)
