export { didYouMean, similar } from '../suggest.ts';
