// The C library sorts, a closure says what comes first.
import { Registry } from 'haft';
import koffi from 'koffi';

const registry = new Registry();
const comparison = registry.trampoline({
  args: ['const void *', 'const void *', 'void *'],
  returns: 'int',
  userData: 2,
  onError: 0,
});
const text = (address) => koffi.decode(address, 'char *');
const french = new Intl.Collator('fr');
const order = comparison.bind((a, b) => french.compare(text(a), text(b)));

const qsort = koffi.load('libc.so.6').func('void qsort_r(_Inout_ void *, size_t, size_t, void *, void *)');
const words = ['zèbre', 'côté', 'été', 'coté', 'eau', 'cote', 'âne', 'côte'];
qsort(koffi.as(words, 'char **'), words.length, 8, order.pointer, order.userData);
console.log(words.join(' ')); // the order of bytes would put âne and été last
registry.close();
