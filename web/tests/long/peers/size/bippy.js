export { instrument, traverseRenderedFibers } from 'bippy';
