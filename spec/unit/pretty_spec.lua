-- Aligned tables for people: widths on a terminal, numbers to the right.

local core = require "taskclient.core"
local pretty = require "taskclient.text.table"

local function lines(...)
  local list = {}
  for line in (pretty.table(...) .. "\n"):gmatch "(.-)\n" do list[#list + 1] = line end
  return list
end

describe("pretty.table", function()
  it("aligns columns, numbers to the right", function()
    assert.are.same({
      "section      kb", "───────  ──────", "libs     120000", "x             7",
    }, lines({ { "libs", "120000" }, { "x", 7 } }, { { name = "section" }, { name = "kb" } }))
  end)

  it("counts places, not bytes", function()
    assert.are.equal(4, pretty.width "中文")
    assert.are.equal(1, pretty.width "é")
    assert.are.equal(1, pretty.width "e\204\129") -- with a combining accent
    assert.are.equal(2, pretty.width "😀")
    local list = lines({ { "中文", "a" }, { "abcd", "b" } }, { "n", "m" })
    assert.are.equal("中文  a", list[3])
    assert.are.equal("abcd  b", list[4])
  end)

  it("shows NULL, control characters and long cells on one line each", function()
    local list = lines({ { core.null, "a\nb", ("x"):rep(100) } }, { "n", "t", "l" },
      { widest = 10 })
    assert.are.equal("NULL  a\\nb  xxxxxxxxx…", list[3])
  end)

  it("cuts a cell before it looks at it, and cleans names too", function()
    local huge = ("x"):rep(20 * 1024 * 1024)
    local list = lines({ { huge, "9\27[2J" } }, { { name = "n\27[2J" }, { name = "m\nk" } })
    assert.are.equal(("x"):rep(59) .. "…  9?[2J", list[3])
    assert.matches("^n%?%[2J +m\\nk$", list[1])
  end)

  it("shows texts without columns", function()
    assert.are.same({ "text", "────", "one" }, lines({ { "one" } }, {}))
  end)
end)
