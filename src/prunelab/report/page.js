// Tables sort by their headings and filter by words; without a script they are whole as they stand.
const SIZES = { k: 1e3, M: 1e6, G: 1e9, T: 1e12 };
function key(cell) {
  const text = cell.textContent.trim().replace(/−/g, "-").replace(/,/g, "");
  const found = text.match(/^(-?[\d.]+(?:e-?\d+)?)\s?([kMGT](?=B|\b))?/);
  return found ? parseFloat(found[1]) * (SIZES[found[2]] || 1) : text;
}
function compare(a, b) {
  const numbers = [a, b].map((each) => typeof each === "number");
  if (numbers[0] && numbers[1]) return a - b;
  return numbers[0] !== numbers[1] ? (numbers[0] ? -1 : 1) : a.localeCompare(b);
}
function sort(table, column, button) {
  const heading = button.closest("th"), body = table.tBodies[0];
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
  rows.sort((a, b) => (descending ? compare(b[0], a[0]) : compare(a[0], b[0])));
  body.append(...rows.map((pair) => pair[1]));
}
for (const table of document.querySelectorAll("table.numbers")) {
  if (table.tBodies[0].rows.length < 4) continue;
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, column, button));
    heading.append(button);
  });
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter rows";
  field.setAttribute("aria-label", "Filter rows of " + table.caption.textContent);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  table.parentNode.before(field);
}
const folded = [];
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open])")) { one.open = true; folded.push(one); }
});
addEventListener("afterprint", () => { for (const one of folded.splice(0)) one.open = false; });
