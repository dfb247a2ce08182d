/** What the page does: sorts the table of layers by a column, and back. */
export const SCRIPT = `
const table = document.getElementById('layers');
const body = table.tBodies[0];
const original = [...body.rows];
for (const button of table.querySelectorAll('thead button')) {
  button.addEventListener('click', () => {
    const head = button.closest('th');
    const column = [...head.parentNode.children].indexOf(head);
    const text = head.classList.contains('text');
    // figures from the largest, then from the smallest, then as in the network; names the other way round
    const order = text ? ['ascending', 'descending'] : ['descending', 'ascending'];
    const next = order[order.indexOf(head.getAttribute('aria-sort')) + 1];
    for (const other of head.parentNode.children) other.removeAttribute('aria-sort');
    if (next) head.setAttribute('aria-sort', next);
    const sign = next === 'descending' ? -1 : 1;
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = text
      ? (a, b) => value(a).localeCompare(value(b), undefined, { numeric: true })
      : (a, b) => Number(value(a)) - Number(value(b));
    const rows = next ? [...original].sort((a, b) => sign * compare(a, b)) : original;
    body.append(...rows);
  });
}
`;
