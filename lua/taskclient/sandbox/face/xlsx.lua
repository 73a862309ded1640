-- A minimal spreadsheet: sheets of inline texts in a zip with stored members.
-- Pure bytes in LuaJIT; knows nothing of results.

local bit = require "bit"

local M = { mime = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" }

local crc_table = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do
    c = bit.band(c, 1) == 1 and bit.bxor(0xEDB88320, bit.rshift(c, 1)) or bit.rshift(c, 1)
  end
  crc_table[i] = c
end

local function crc32(text)
  local c = 0xFFFFFFFF
  for i = 1, #text do
    c = bit.bxor(crc_table[bit.band(bit.bxor(c, text:byte(i)), 0xFF)], bit.rshift(c, 8))
  end
  return bit.bnot(c)
end

local function le(n, bytes)
  local out = {}
  for i = 1, bytes do
    out[i] = string.char(bit.band(bit.rshift(n, 8 * (i - 1)), 0xFF))
  end
  return table.concat(out)
end

-- A zip archive of {name, content} pairs, stored.
local function zip(members)
  local out, directory, offset = {}, {}, 0
  for _, member in ipairs(members) do
    local name, content = member[1], member[2]
    local common = le(20, 2) .. le(0x800, 2) .. le(0, 2) .. le(0, 2) .. le(0x21, 2)
      .. le(crc32(content), 4)
      .. le(#content, 4) .. le(#content, 4) .. le(#name, 2) .. le(0, 2)
    out[#out + 1] = "PK\3\4" .. common .. name .. content
    directory[#directory + 1] = "PK\1\2" .. le(20, 2) .. common .. le(0, 2) .. le(0, 2) .. le(0, 2)
      .. le(0, 4)
      .. le(offset, 4) .. name
    offset = offset + #out[#out]
  end
  local index = table.concat(directory)
  return table.concat(out) .. index .. "PK\5\6" .. le(0, 4) .. le(#members, 2) .. le(#members, 2)
    .. le(#index, 4)
    .. le(offset, 4) .. le(0, 2)
end

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escape(text)
  return (text:gsub('[&<>"]', entities):gsub("[%z\1-\8\11\12\14-\31]", ""))
end

local function sheet_row(cells, number)
  local out = { ('<row r="%d">'):format(number) }
  for i = 1, #cells do
    out[#out + 1] = '<c t="inlineStr"><is><t xml:space="preserve">' .. escape(cells[i])
      .. "</t></is></c>"
  end
  out[#out + 1] = "</row>"
  return table.concat(out)
end

local HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
local MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
local RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
local OFFICE = "application/vnd.openxmlformats-officedocument.spreadsheetml."
local PACKAGE = "application/vnd.openxmlformats-package.relationships+xml"
local DOC = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

local function sheet_xml(sheet)
  local out = { HEAD, '<worksheet xmlns="', MAIN, '"><sheetData>', sheet_row(sheet.columns, 1) }
  for i, row in ipairs(sheet.rows) do out[#out + 1] = sheet_row(row, i + 1) end
  out[#out + 1] = "</sheetData></worksheet>"
  return table.concat(out)
end

local function override(part, kind)
  return ('<Override PartName="%s" ContentType="%s%s+xml"/>'):format(part, OFFICE, kind)
end

local function relation(id, kind, target)
  return ('<Relationship Id="rId%d" Type="%s/%s" Target="%s"/>'):format(id, DOC, kind, target)
end

local function relations(list)
  return ('<Relationships xmlns="%s">%s</Relationships>'):format(RELS, list)
end

---@param sheets table[] name, columns (texts), rows (arrays of texts)
---@return string bytes
function M.book(sheets)
  local types, list, rels, members = {}, {}, {}, {}
  for i, sheet in ipairs(sheets) do
    local part = ("worksheets/sheet%d.xml"):format(i)
    types[i] = override("/xl/" .. part, "worksheet")
    list[i] = ('<sheet name="%s" sheetId="%d" r:id="rId%d"/>'):format(escape(sheet.name), i, i)
    rels[i] = relation(i, "worksheet", part)
    members[i] = { "xl/" .. part, sheet_xml(sheet) }
  end
  local function add(name, text) table.insert(members, 1, { name, HEAD .. text }) end
  add("xl/_rels/workbook.xml.rels", relations(table.concat(rels)))
  add("xl/workbook.xml", ('<workbook xmlns="%s" xmlns:r="%s"><sheets>%s</sheets></workbook>')
    :format(MAIN, DOC, table.concat(list)))
  add("_rels/.rels", relations(relation(1, "officeDocument", "xl/workbook.xml")))
  add("[Content_Types].xml", ('<Types xmlns="%s"><Default Extension="rels" ContentType="%s"/>%s%s'
    .. "</Types>"):format("http://schemas.openxmlformats.org/package/2006/content-types", PACKAGE,
    override("/xl/workbook.xml", "sheet.main"), table.concat(types)))
  return zip(members)
end

return M
