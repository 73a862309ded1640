-- The follower against a model of the server's log, over random schedules:
-- whatever the server loses and doubles, what is given out is over the whole
-- exactly the file, each line as often as the file has it.

local follow = require "taskclient.linkis.logs.merge"
local model = require "spec.support.log_model"
local pages = require "taskclient.linkis.logs.page"

local function page_of(data, from, size)
  return pages.settled(pages.parse(data, from, size or 5000), from)
end

local SEEDS = os.getenv "TASKCLIENT_TORTURE" and 100 or 16 -- logs of each kind

local WORDS = { "INFO", "WARN", "ERROR" }

local function text_of(random, n)
  local kind = random(20)
  if kind == 1 then return "" end
  if kind == 2 then return "." end
  if kind == 3 then return "null" end
  if kind == 4 then return "again " .. random(3) end
  if kind == 5 then return "first " .. n .. "\n\tat second\n\tat third" end
  if kind == 6 then
    return ("2026-11-22 01:50:32.050 %s entry %d"):format(WORDS[random(3)], n)
  end
  return "line " .. n
end

local function counts(lines)
  local t = {}
  for _, line in ipairs(lines) do t[line] = (t[line] or 0) + 1 end
  return t
end

-- { text = difference } of two lists as multisets
local function difference(got, expected)
  local d = counts(got)
  for text, n in pairs(counts(expected)) do
    d[text] = (d[text] or 0) - n
    if d[text] == 0 then d[text] = nil end
  end
  return d
end

local Reader = {}
Reader.__index = Reader

local function reader(server, opts)
  return setmetatable({
    server = server, opts = opts or {}, lines = {}, notes = {},
    follower = follow.new(opts or {}),
  }, Reader)
end

function Reader:drain(limit)
  for _ = 1, limit or math.huge do
    local line, note = self.follower:next()
    if not line then return end
    self.lines[#self.lines + 1], self.notes[#self.notes + 1] = line, note
  end
end

-- As the cursor does it: asks until nothing calls for more. Gives the last word.
function Reader:round(limit)
  local word
  local asked = 0
  repeat
    local from, size = self.follower:want()
    local data = {}
    data.log, data.fromLine = self.server:read(from, size)
    word = self.follower:take(page_of(data, from, size))
    asked = asked + 1
    assert(asked < 1000, "asks for ever")
  until word ~= "more"
  self:drain(limit)
  return word
end

function Reader:file(ended)
  assert(self.follower:file(self.server:file_text(), ended))
  while self.follower:advance() do self:drain() end
  self:drain()
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local t = {}
  for k, v in pairs(value) do t[k] = copy(v) end
  return t
end

function Reader:resume()
  local saved = copy(self.follower:save())
  self.follower = follow.new(self.opts, saved)
end

local function append(server, random, from, n)
  for i = from + 1, from + n do server:add(text_of(random, i)) end
  return from + n
end

-- A job's life: lines in lumps, a reader that looks now and then.
local function live(seed, profile, opts)
  local random = model.random(seed)
  local server = model.new {
    base = profile.base, thin = profile.thin, random = random,
    holes = random(3) == 1 and 0.05 or 0,
  }
  local me = reader(server, opts)
  local written, lump = 0, ({ 5, 60, 300, 900 })[random(4)]
  local file_mode = false
  for _ = 1, random(30) do
    written = append(server, random, written, random(lump))
    if random(15) == 1 then server:flush() end
    if file_mode then
      me:file(false)
    elseif random(4) > 1 then
      file_mode = me:round(random(3) == 1 and random(200) or nil) == "stuck"
    end
    if random(6) == 1 then me:resume() end
  end
  server:finish()
  if random(3) == 1 and not file_mode then me:round() end
  me:file(true)
  return me, server
end

local PROFILES = {
  ["1.6 and later"] = { base = 1 },
  ["1.4 and before"] = { base = 0 },
  ["1.5"] = { base = "mixed" },
  ["array form, from 1"] = { base = 1, thin = true },
  ["array form, from 0"] = { base = 0, thin = true },
}

describe("the follower (protocols 3.4, traps 15, 16, 18, 53)", function()
  for name, profile in pairs(PROFILES) do
    it("gives exactly the file's lines over random schedules: " .. name, function()
      for seed = 1, SEEDS do
        local me, server = live(seed * 7919, profile)
        assert.are.same({}, difference(me.lines, server.file), "seed " .. seed)
      end
    end)
  end

  it("keeps the file's order with exact", function()
    for seed = 1, SEEDS do
      local me, server = live(seed * 104729, { base = seed % 2, thin = seed % 3 == 0 },
        { exact = true })
      assert.are.same(server.file, me.lines, "seed " .. seed)
    end
  end)

  it("gives nearly every line while the job runs", function()
    local server = model.new { base = 1 }
    local me = reader(server)
    for i = 1, 5200 do
      server:add("line " .. i)
      if i % 30 == 0 then me:round() end
    end
    me:round()
    server:finish()
    me:file(true)
    local late = 0
    for _, note in ipairs(me.notes) do
      if note.late then late = late + 1 end
    end
    assert.are.same({}, difference(me.lines, server.file))
    assert.is_true(late <= 15, late .. " of 5200 came late")
  end)

  it("keeps memory bounded in a long log", function()
    local server = model.new { base = 1 }
    local me = reader(server)
    for i = 1, 50000 do
      server:add("line " .. i)
      if i % 400 == 0 then
        me:round()
        local n = 0
        for _ in pairs(me.follower.ahead) do n = n + 1 end
        assert.is_true(n <= 1300, n)
      end
    end
  end)

  it("does not step over an empty slot before it was read again", function()
    local follower = follow.new {}
    local function page(text, to)
      return page_of({ log = text, fromLine = to }, (follower:want()))
    end
    assert.are.equal("again", follower:take(page("a\nnull\nc", 3)))
    assert.are.equal("a", follower:next())
    assert.is_nil(follower:next())
    assert.are.equal("some", follower:take(page("a\nb\nc", 3)))
    assert.are.equal("b", follower:next())
    assert.are.equal("c", follower:next())
    assert.is_nil(follower:next())
  end)

  it("does not take a page that failed for a sign of how the server counts", function()
    local server = model.new { base = 1 }
    local me, read, failed = reader(server), server.read, nil
    function server.read(self, from, size)
      if from ~= 1 or size >= 5000 or failed then return read(self, from, size) end
      failed = true
      return "", from
    end
    for i = 1, 3000 do
      server:add("line " .. i)
      if i % 300 == 0 then me:round() end
    end
    assert.is_true(failed)
    server:finish()
    me:file(true)
    assert.are.same({}, difference(me.lines, server.file))
  end)

  it("recognises the file again after the array form had left lines out", function()
    local server = model.new { base = 1, thin = true }
    local me = reader(server)
    for i = 1, 2400 do
      server:add(i > 9 and i % 3 == 0 and "" or "line " .. i)
      if i % 400 == 0 then me:round() end
    end
    assert.is_true(me.follower.thinned)
    assert(me.follower:file(server:file_text(), false))
    me:resume()
    me:file(false)
    server:finish()
    me:file(true)
    assert.are.same({}, difference(me.lines, server.file))
  end)

  it("steps over a slot that stays empty, and fills it in later", function()
    local follower = follow.new {}
    local function take(text, to)
      return follower:take(page_of({ log = text, fromLine = to }, (follower:want())))
    end
    take("a\nnull\nc", 3)
    take("a\nnull\nc", 3)
    assert.are.equal("a", follower:next())
    assert.are.equal("c", follower:next())
    take("a\nb\nc\nd", 4)
    local line, note = follower:next()
    assert.are.equal("b", line)
    assert.is_true(note.filled)
    line, note = follower:next()
    assert.are.equal("d", line)
    assert.is_nil(note.filled)
  end)

  it("says so when lines have left the server's memory unread", function()
    local follower = follow.new {}
    follower:take(page_of({ log = "a\nb", fromLine = 2 }, 0))
    assert.are.equal("stuck", follower:take(page_of({ log = "", fromLine = 0 }, 0)))
  end)

  it("refuses a file that lacks lines it has given out", function()
    local follower = follow.new {}
    follower:take(page_of({ log = "a\nb", fromLine = 2 }, 0))
    local taken, why = follower:file("a\n", true)
    assert.is_nil(taken)
    assert.are.equal("behind", why)
    assert.is_true(follower:file("a\nb\nc\n", true))
  end)

  it("holds back blank lines until they are in the file", function()
    local follower = follow.new {}
    follower:take(page_of({ log = "a\n\nb", fromLine = 3 }, 0))
    assert.are.equal("a", follower:next())
    assert.are.equal("b", follower:next())
    assert.is_nil(follower:next())
    follower:file("a\nb\nc\n", true)
    follower:advance()
    local line, note = follower:next()
    assert.are.equal("c", line)
    assert.is_true(note.late)
    assert.is_nil(follower:next())
  end)
end)

describe("levels (trap 17)", function()
  local FILE = {
    "before any level",
    "2026-11-22 01:50:32.050 INFO one",
    "below one",
    "2026-11-22 01:50:32.050 ERROR two",
    "\tat two",
    "2026-11-22 01:50:32.050 WARN three",
    "2026-11-22 01:50:32.050 INFO four",
  }

  local function levels_of(filter)
    local follower = follow.new { filter = filter }
    follower:file(table.concat(FILE, "\n") .. "\n", true)
    follower:advance()
    local got = {}
    for line, note in function() return follower:next() end do
      got[#got + 1] = (note.level or "-") .. " " .. line:sub(-5)
    end
    return got
  end

  it("are inherited by lines that have none", function()
    assert.are.same({ "- level", "info O one", "info w one", "error R two", "error t two",
      "warn three", "info  four" }, levels_of(nil))
  end)

  it("filter", function()
    assert.are.same({ "error R two", "error t two" }, levels_of { error = true })
  end)

  it("filter over random schedules gives the file's lines of that level", function()
    local levels = require "taskclient.linkis.logs.levels"
    for seed = 1, SEEDS do
      local me, server = live(seed * 15485863, { base = 1 }, { filter = { error = true } })
      local expected, level = {}, nil
      for _, line in ipairs(server.file) do
        level = levels.of(line) or level
        if level == "error" then expected[#expected + 1] = line end
      end
      for text, n in pairs(difference(me.lines, expected)) do
        assert.is_true(n >= 0, "missing " .. text)
      end
      for i, line in ipairs(me.lines) do assert.are.equal("error", me.notes[i].level, line) end
    end
  end)
end)
