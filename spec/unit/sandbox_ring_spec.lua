-- The sandbox's log ring against what was seen on a real server (protocols 3.4): numbers of the
-- recordings 36 to 38.

local ring = require "taskclient.sandbox.ring"

local SIZE = 500

-- 20 entries of the entrance, then l1 ... ln.
local function entries_of(n)
  local list = {}
  for i = 1, 20 do list[i] = "2026-11-22 01:02:03.002 INFO entry " .. i end
  for i = 1, n do list[20 + i] = "l" .. i end
  return list
end

local function state_of(entries, ended)
  local state = { entries = entries, file = {}, flushed = 0, ended = ended, size = SIZE }
  state.flushed = ring.flush(state.file, entries, 0, SIZE)
  if ended then ring.finish(state.file, entries, state.flushed, SIZE) end
  return state
end

local function present(lines)
  local out = {}
  for _, line in ipairs(lines) do
    if line then out[#out + 1] = line end
  end
  return out
end

describe("the log ring", function()
  it("doubles in the file the line that triggered each flush", function()
    local seen, twice = {}, {}
    for _, line in ipairs(state_of(entries_of(3000), true).file) do
      if seen[line] then twice[#twice + 1] = line end
      seen[line] = true
    end
    assert.same({ "l481", "l981", "l1481", "l1981", "l2481", "l2981" }, twice)
  end)

  it("counts the phantom slot 0 of a running job, empty", function()
    local lines = ring.read(state_of(entries_of(0)), 0, 100, 1)
    assert.equal(21, #lines)
    assert.is_false(lines[1])
    assert.equal(2, #ring.read(state_of(entries_of(20)), 0, 2, 1))
  end)

  it("starts at 0 in old versions", function()
    local lines = ring.read(state_of(entries_of(0)), 0, 100, 0)
    assert.equal(20, #lines)
    assert.equal("2026-11-22 01:02:03.002 INFO entry 1", lines[1])
  end)

  it("loses a line in the slots a flush has emptied", function()
    local lines = ring.read(state_of(entries_of(1600)), 1500, 100, 1)
    assert.equal(100, #lines)
    local there = present(lines)
    assert.equal(99, #there)
    assert.equal("l1481", there[1])
    assert.equal("l1579", there[99])
  end)

  it("repeats and skips lines behind a flush", function()
    local lines = ring.read(state_of(entries_of(2005)), 1908, 100, 1)
    assert.equal(100, #lines)
    assert.equal("l1885", lines[1])
    assert.equal("l1981", lines[97])
    assert.equal("l1985", lines[98])
    assert.equal("l1987", lines[100])
  end)

  it("pages through the file of an ended job: from 1 exactly, from 0 with one line twice",
    function()
    local state = state_of(entries_of(3000), true)
    local function pages(from)
      local out = {}
      repeat
        local lines = ring.read(state, from, 100, 1)
        for _, line in ipairs(lines) do out[#out + 1] = line end
        from = from + #lines
      until #lines == 0
      return out
    end
    assert.same(state.file, pages(1))
    local doubled = pages(0)
    assert.equal(#state.file + 1, #doubled)
    assert.equal(doubled[100], doubled[101])
    assert.equal("l80", doubled[100])
  end)

  it("leaves blank lines out at the end", function()
    local entries = entries_of(2)
    entries[#entries + 1] = ""
    entries[#entries + 1] = "two\nlines"
    local file = state_of(entries, true).file
    assert.equal(24, #file)
    assert.equal("lines", file[24])
  end)
end)

describe("log levels", function()
  local text = { "first", "2026-11-22 01:02:03.002 ERROR broken", "  at x", "",
    "2026-11-22 01:02:03.002 WARN hm", "2026-11-22 01:02:03.002 INFO fine", "com.netflix.x" }

  it("of the live end point: no level is INFO, blank ones vanish", function()
    local four = ring.levels(text)
    assert.equal("2026-11-22 01:02:03.002 ERROR broken", four[1])
    assert.equal("2026-11-22 01:02:03.002 WARN hm", four[2])
    assert.equal("first\n  at x\n2026-11-22 01:02:03.002 INFO fine", four[3])
    assert.is_nil(four[4]:find "netflix")
  end)

  it("of openLog: a line inherits the level before it, an empty one comes twice", function()
    local four = ring.open_log(text)
    assert.equal("2026-11-22 01:02:03.002 ERROR broken\n  at x\n\n\n", four[1])
    assert.equal("2026-11-22 01:02:03.002 INFO fine\ncom.netflix.x\n", four[3])
    assert.is_truthy(four[4]:find("^first\n"))
    assert.equal("", ring.open_log(text, { warn = true })[4])
  end)
end)
